"""Where settings come from: TOML files, environment variables, arguments. Each keeps its place of origin.

Values are not judged here, except that a file must be TOML; money never passes through a binary float.
"""

import re
import tomllib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

from oms.errors import ConfigError

ENV_PREFIX: Final = "OMS__"
CLOSE_MINUTES: Final = 16 * 60
"""The seed's clock times stand for a session that closes at 16:00 New York time."""


class Origin(NamedTuple):
    """Who said it (default, profile, file, environment, argument), and where exactly."""

    kind: str
    place: str = ""

    def __str__(self) -> str:
        return self.place if self.kind == "file" else f"{self.kind} {self.place}".rstrip()


class Given(NamedTuple):
    """One value as somebody gave it. `path` is the setting, `key` what was written."""

    path: str
    value: Any
    origin: Origin
    key: str


class Alias(NamedTuple):
    """A seed's own name for settings of ours, with its conversion."""

    targets: tuple[str, ...]
    convert: Callable[[Any], Any] = lambda value: value


def before_close(value: object) -> object:
    """`15:45 ET` as milliseconds before a close at 16:00. Anything else raises ValueError."""
    text = value.strftime("%H:%M") if isinstance(value, time) else str(value)
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)( ET)?", text)
    minutes = CLOSE_MINUTES - int(match[1]) * 60 - int(match[2]) if match else -1
    if minutes < 0:
        raise ValueError("a clock time up to 16:00 is needed, as in 15:45 ET")
    return minutes * 60_000


ALIASES: Final[Mapping[str, Alias]] = {
    "odin.execution.repricing-interval-ms": Alias(("entry.reprice_interval_ms", "exit.reprice_interval_ms")),
    "odin.execution.max-repricing-cycles": Alias(("entry.max_cycles", "exit.max_cycles")),
    "odin.execution.stop-limit-offset-pct": Alias(("stop.limit_offset_pct",)),
    "odin.execution.stop-market-fallback-ms": Alias(("stop.fallback_ms",)),
    "odin.execution.forced-close-start": Alias(("forced_close.start_before_close_ms",), before_close),
    "odin.execution.forced-close-end": Alias(("forced_close.end_before_close_ms",), before_close),
    "odin.risk.max-position-pct": Alias(("risk.max_position_pct",)),
    "odin.risk.cancel-replace-rate-warn": Alias(("degradation.cancel_replace_rate_warn",)),
    "odin.risk.order-trade-ratio-warn": Alias(("degradation.order_trade_ratio_warn",)),
}
"""OD-113..121. Repricing concerns entries and exits alike (OD-018, OD-055, OD-056)."""


def read_file(path: Path, kind: str) -> Iterator[Given]:
    """Every leaf of a TOML file, in file order."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError("OMS-C001", f"There is no settings file  {path}", hint="check --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("OMS-C001", f"Cannot read the settings file  {path}", why=str(error)) from error
    try:
        tree = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, ArithmeticError) as error:
        raise _not_toml(path, error) from None
    lines = line_numbers(text)
    for key, value in _leaves(tree):
        yield Given(key, value, Origin(kind, f"{path.name} line {_nearest(lines, key)}"), key)


def _not_toml(path: Path, error: Exception) -> ConfigError:
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", str(error), re.DOTALL)
    where = f"{path.name} line {match[2]} column {match[3]}" if match and match[2] else path.name
    why = f"{match[1] if match else error}; nothing was started"
    return ConfigError("OMS-C002", "The settings file is not valid TOML", where=where, why=why)


def _leaves(tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(dotted key, value). An empty table is a leaf of its own, so that a mistyped one is noticed."""
    waiting = deque([("", tree)])
    while waiting:
        above, table = waiting.popleft()
        for name, value in table.items():
            key = f"{above}{name}"
            if isinstance(value, Mapping) and value:
                waiting.append((f"{key}.", value))
            else:
                yield key, value


def read_environment(environment: Mapping[str, str], is_text: Callable[[str], bool]) -> Iterator[Given]:
    """Every `OMS__SECTION__KEY` variable. `is_text` tells which settings take the value as it stands."""
    for variable in sorted(environment):
        if not variable.startswith(ENV_PREFIX):
            continue
        key = variable[len(ENV_PREFIX) :].lower().replace("__", ".")
        key = next((alias for alias in ALIASES if alias.replace("-", "_") == key), key)
        text = environment[variable]
        yield Given(key, text if is_text(key) else _value_of(text), Origin("environment", variable), variable)


def _value_of(text: str) -> Any:
    """The text as a TOML value where it is one (numbers, booleans, lists), else the text."""
    try:
        parsed = tomllib.loads(f"value = {text}", parse_float=Decimal)
    except (tomllib.TOMLDecodeError, ArithmeticError):
        return text
    return parsed["value"] if list(parsed) == ["value"] else text


def read_arguments(arguments: Mapping[str, Any]) -> Iterator[Given]:
    """Settings given in code: dotted names or nested mappings."""
    for key, value in _leaves(arguments):
        yield Given(key, value, Origin("argument", key), key)


def translate(given: Given) -> list[Given]:
    """The settings that a seed's name stands for; any other name as it is."""
    alias = ALIASES.get(given.path)
    if alias is None:
        return [given]
    try:
        value = alias.convert(given.value)
    except ValueError as error:
        raise ConfigError(
            "OMS-C013",
            f"Wrong value for  {given.key}",
            where=str(given.origin),
            why=f"the value is {given.value!r}; {error}; nothing was started",
        ) from None
    return [given._replace(path=target, value=value) for target in alias.targets]


_PART = r"""(?:"[^"\n]*"|'[^'\n]*'|[A-Za-z0-9_-]+)"""
_KEY = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER_LINE = re.compile(rf"\s*\[\[?\s*({_KEY})\s*\]")
_KEY_LINE = re.compile(rf"\s*({_KEY})\s*=(.*)", re.DOTALL)
_SKIPPED = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|\#[^\n]*', re.DOTALL
)


def line_numbers(text: str) -> dict[str, int]:
    """Dotted key or table -> the line on which it first stands, of a valid TOML text."""
    found: dict[str, int] = {}
    prefix = ""
    depth = 0
    for number, line in enumerate(_without_values(text).split("\n"), start=1):
        header = _HEADER_LINE.match(line) if depth == 0 else None
        entry = _KEY_LINE.match(line) if depth == 0 and header is None else None
        if header:
            prefix = _dotted(header[1]) + "."
            found.setdefault(prefix[:-1], number)
        elif entry:
            found.setdefault(prefix + _dotted(entry[1]), number)
        rest = entry[2] if entry else "" if header else line
        depth += rest.count("[") + rest.count("{") - rest.count("]") - rest.count("}")
    return found


def _without_values(text: str) -> str:
    """The text with comments and quoted values blanked, quoted keys and line breaks kept."""

    def blank(match: re.Match[str]) -> str:
        before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()].lstrip()
        after = text[match.end() :].lstrip(" \t")[:1]
        is_key = match[0][0] != "#" and (after in ("=", ".") or (after == "]" and before.startswith("[")))
        return match[0] if is_key else "\n" * match[0].count("\n")

    return _SKIPPED.sub(blank, text)


def _dotted(key: str) -> str:
    return ".".join(part.strip("\"'") for part in re.findall(_PART, key))


def _nearest(lines: Mapping[str, int], key: str) -> int:
    while key and key not in lines:
        key = key.rpartition(".")[0]
    return lines.get(key, 1)
