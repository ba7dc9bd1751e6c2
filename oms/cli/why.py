"""`oms why SEQ`: what led to one event, back to the input it was decided on and the facts it rests on."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from oms.cli.frame import output_of
from oms.cli.output import Output
from oms.cli.replay import opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replay.explain import Explanation, Step

LABEL = 12

app = typer.Typer(add_completion=False)


@app.command()
def why(
    context: typer.Context,
    seq: Annotated[int, typer.Argument(metavar="SEQ", help="Number of the event in the account's log.")],
    account: Annotated[
        str | None, typer.Option("--account", help="Default: the account written last.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("--file", help="An exported log instead of the database.")
    ] = None,
) -> int:
    """Explain one event: its causes, its evidence, its rule and the settings that rule read."""
    import msgspec

    from replay.explain import explain

    output = output_of(context)
    with opened(output, file, account) as (log, chosen):
        found = explain(log, chosen.head.account, seq)
    _show(output, found)
    explanation: dict[str, Any] = msgspec.to_builtins(found)
    output.finish(explanation)
    return 0


def _show(output: Output, found: "Explanation") -> None:
    event = found.event
    reason = f"   reason {found.reason}" if found.reason else ""
    output.message("")
    output.message(f" {event.seq} {event.type}  {event.text}{'' if found.reason in event.text else reason}")
    _lines(output, "at", [_time(event)])
    _steps(output, "caused by", found.causes)
    _steps(output, "closes for", found.close)
    _steps(output, "evidence", found.evidence)
    if found.rule:
        _lines(output, "rule", [found.rule])
    _lines(
        output,
        "setting",
        [_setting(one.name, one.value, one.config_sha256, one.config_seq) for one in found.settings],
    )
    _steps(output, "order", found.order)
    _steps(output, "trade", found.trade)
    _steps(output, "led to", found.led_to)


def _steps(output: Output, label: str, steps: "Sequence[Step]") -> None:
    lines = []
    for step in steps:
        policy = f"  [{step.policy}]" if step.policy else ""
        lines.append(f"{step.seq:>6} {_time(step)}  {step.type:<20} {step.text}{policy}")
    _lines(output, label, lines)


def _lines(output: Output, label: str, lines: "Sequence[str]") -> None:
    for number, line in enumerate(lines):
        output.message(f"  {'' if number else label:<{LABEL}}{line}")


def _time(step: "Step") -> str:
    from replay.moments import shown_clock

    return shown_clock(step.at)


def _setting(name: str, value: object, sha256: str, seq: int) -> str:
    return f"{name} = {value}   (configuration {sha256[:12]}, event {seq})"
