"""Errors a person reads: what failed, where, why, and what to do about it.

One shape for the terminal, the log and the console, so that a code found in one leads to the others.
"""

from typing import Any, ClassVar


class OmsError(Exception):
    """The order management system could not do what was asked."""

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        code: str,
        what: str | None = None,
        *,
        where: str | None = None,
        why: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.code = code
        self.what = what or (self.__doc__ or "").strip()
        self.where = where
        self.why = why
        self.hint = hint
        told = f"{code} {self.what}" + (f" ({where})" if where else "")
        super().__init__(told + "".join(f"; {text}" for text in (why, hint) if text))

    def rows(self) -> list[tuple[str, str]]:
        """(label, text) of everything below the headline, in reading order."""
        labelled = (("in", self.where), ("why", self.why), ("try", self.hint))
        return [(label, text) for label, text in labelled if text]

    def render(self) -> str:
        """The whole message as a person sees it; several lines, no trailing newline."""
        lines = [f"{self.code}  {self.what}"]
        for label, text in self.rows():
            first, *more = map(str.strip, text.splitlines())
            lines.append(f"  {label:<6} {first}")
            lines.extend(f"  {'':<6} {line}" for line in more)
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The same for a machine, as `--json` prints it."""
        parts = {"code": self.code, "what": self.what, "in": self.where, "why": self.why, "try": self.hint}
        return {name: text for name, text in parts.items() if text}


class DomainProblem(OmsError):
    """The work was done and its answer is bad news: a mismatch, an unprotected position."""

    exit_code = 1


class InputError(OmsError):
    """A file that was given cannot be used. `where` names the file and the line."""

    exit_code = 2


class ConfigError(OmsError):
    """A setting is wrong; nothing was started. `others` holds what else is wrong."""

    exit_code = 2
    others: tuple["ConfigError", ...] = ()

    def render(self) -> str:
        """This problem and every further one, separated by empty lines."""
        return "\n\n".join([super().render(), *(other.render() for other in self.others)])

    def as_dict(self) -> dict[str, Any]:
        """As `OmsError.as_dict`, with the further problems under `others`."""
        further = [other.as_dict() for other in self.others]
        return super().as_dict() | ({"others": further} if further else {})


class UsageProblem(OmsError):
    """The command line does not make sense."""

    exit_code = 2


class EnvironmentProblem(OmsError):
    """Something around the program is missing or broken: Python, packages, database, network."""

    exit_code = 3


class InternalProblem(OmsError):
    """The program contradicts itself; this is a defect."""

    exit_code = 4
