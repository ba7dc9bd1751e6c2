"""`oms replay DAY|FILE --with other.toml [--diff]`: where would another profile have decided otherwise, and why?"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from oms.cli.output import Output
from oms.config import Settings, load_settings
from oms.errors import UsageProblem

if TYPE_CHECKING:
    from eventlog.log import EventLog
    from replay.accounts import Chosen
    from replay.whatif import Parting, WhatIf


def compare(output: Output, log: "EventLog", chosen: "Chosen", last: int, settings: Settings) -> "WhatIf":
    """Decide the log again under other settings and say how far both go together."""
    from replay.whatif import whatif

    with output.timed("decided") as say:
        found = whatif(log, chosen.head.account, settings, last)
        say(f"{found.events} events under both, settings that differ: {len(found.changed)}")
    if found.unproven is not None:
        output.step(
            "careful", f"at event {found.unproven} this program decides otherwise by the log's own profile"
        )
    return found


def show(output: Output, found: "WhatIf", *, with_fields: bool) -> None:
    """Where they part; with the fields that differ and all settings where that is asked for."""
    parting = found.parting
    if parting is None:
        output.step("same", f"both profiles decide the same: {found.decisions} decisions")
    else:
        _show_parting(output, parting)
    if not with_fields:
        return
    if parting is not None:
        output.message("")
        rows = [[one.field, one.logged, one.regenerated] for one in parting.differences]
        output.table(["field", "logged", "with the other profile"], rows)
    if found.changed:
        output.message("")
        output.table(
            ["setting", "logged", "other"], [[one.name, one.logged, one.other] for one in found.changed]
        )


def _show_parting(output: Output, parting: "Parting") -> None:
    from replay.moments import shown_time

    where = f", {parting.pipeline}" if parting.pipeline else ""
    output.step("part at", f"{shown_time(parting.at)}{where}, by rule {parting.policy or 'unnamed'}")
    if parting.input is None:
        output.step("input", "a deadline of the other profile; quotes of that moment are not in the log")
    else:
        output.step("input", f"{parting.input} {parting.input_type} {parting.input_body}")
    for side, row in (("logged", parting.logged), ("other", parting.other)):
        output.step(side, f"{row.type} {row.body}" if row is not None else "decides nothing here")
    for one in parting.read:
        output.step("because", f"{one.name} is {one.logged} in the log and {one.other} in the other profile")
    if not parting.read:
        output.step("because", "the rule reads no setting that differs; what it acts on came about otherwise")


def result(found: "WhatIf") -> dict[str, Any]:
    """For a program."""
    import msgspec

    tree: dict[str, Any] = msgspec.to_builtins(found)
    return {"same": found.parting is None, **tree}


def settings_of(path: Path) -> Settings:
    """The other profile: a settings file, without the variables of this shell. Raises ConfigError, UsageProblem."""
    from oms.policies import mismatch

    settings = load_settings(path).settings
    other = mismatch(settings.policies.enabled)
    if other:
        raise UsageProblem("OMS-C030", f"The configuration wants {other}", where=str(path))
    return settings
