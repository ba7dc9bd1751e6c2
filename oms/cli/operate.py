"""`oms kill|flat|pause|resume|close|cancel --account A --reason TEXT`: acts on a running writer.

The writer is reached over its control socket, so neither the database nor its address is needed; every command may
be repeated. When no writer runs the answer says so, and how a kill file acts on the next one.
"""

import getpass
import os
import secrets
import shlex
from typing import Annotated, Final

import typer

from oms.cli.frame import output_of
from oms.cli.output import Output
from oms.errors import DomainProblem, EnvironmentProblem, UsageProblem
from oms.events.operator import Act
from oms.shell.control import SOCKET, Answer, NoAnswer, NotSent, Request, ask, read_request
from oms.shell.kill_file import KILL_FILE
from oms.shell.places import known_accounts, writer_dir

kill = typer.Typer(add_completion=False)
flat = typer.Typer(add_completion=False)
pause = typer.Typer(add_completion=False)
resume = typer.Typer(add_completion=False)
close = typer.Typer(add_completion=False)
cancel = typer.Typer(add_completion=False)

Account = Annotated[str, typer.Option("--account", help="The account, broker/environment/name.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stands in the log for ever.")]
Person = Annotated[str, typer.Option("--as", help="Who asks, where one login serves several persons.")]
Id = Annotated[str, typer.Option("--id", help="The id of an earlier try, to repeat it safely.")]
Instrument = Annotated[str, typer.Option("--instrument", help="Only this instrument.")]

MARKS: Final = {"log": "in the log", "journal": "in the emergency journal", "memory": "in memory ONLY"}


@kill.command()
def kill_command(
    context: typer.Context,
    account: Account,
    reason: Reason,
    level: Annotated[
        int,
        typer.Option(
            "--level",
            min=1,
            max=4,
            help="1 no entries, 2 working entries cancelled, 3 flat, 4 stops given up too (two persons).",
        ),
    ] = 3,
    person: Person = "",
    again: Id = "",
) -> int:
    """Stop trading in an account; by default everything is closed at market and nothing is opened any more."""
    return _operate(context, Act.KILL, account, reason, person=person, again=again, level=level)


@flat.command()
def flat_command(
    context: typer.Context,
    account: Account,
    reason: Reason,
    instrument: Instrument = "",
    person: Person = "",
    again: Id = "",
) -> int:
    """Close everything at market and open nothing any more; with an instrument only that, once."""
    return _operate(context, Act.FLAT, account, reason, person=person, again=again, instrument=instrument)


@pause.command()
def pause_command(
    context: typer.Context, account: Account, reason: Reason, person: Person = "", again: Id = ""
) -> int:
    """Take no entries until `resume`; what is open is managed on."""
    return _operate(context, Act.PAUSE, account, reason, person=person, again=again)


@resume.command()
def resume_command(
    context: typer.Context,
    account: Account,
    reason: Reason,
    rearm: Annotated[
        bool, typer.Option("--rearm", help="Take a kill level back: on a later day, by two persons.")
    ] = False,
    person: Person = "",
    again: Id = "",
) -> int:
    """End a pause; with --rearm take back a kill level."""
    return _operate(context, Act.REARM if rearm else Act.RESUME, account, reason, person=person, again=again)


@close.command()
def close_command(
    context: typer.Context,
    account: Account,
    reason: Reason,
    instrument: Instrument = "",
    trade: Annotated[
        int | None, typer.Option("--trade", min=1, help="Only the trade of this number.")
    ] = None,
    person: Person = "",
    again: Id = "",
) -> int:
    """Close a trade, or all of an instrument, by limits at the market."""
    return _operate(
        context, Act.CLOSE, account, reason, person=person, again=again, instrument=instrument, trade=trade
    )


@cancel.command()
def cancel_command(
    context: typer.Context,
    account: Account,
    reason: Reason,
    order: Annotated[str, typer.Option("--order", help="Only the order of this id.")] = "",
    instrument: Instrument = "",
    person: Person = "",
    again: Id = "",
) -> int:
    """Cancel an order, or all working entries; a stop that a position needs is placed again."""
    return _operate(
        context, Act.CANCEL, account, reason, person=person, again=again, instrument=instrument, order=order
    )


def _operate(
    context: typer.Context,
    act: Act,
    account: str,
    reason: str,
    *,
    person: str,
    again: str,
    level: int = 0,
    instrument: str = "",
    trade: int | None = None,
    order: str = "",
) -> int:
    output = output_of(context)
    words = {
        "id": again or secrets.token_hex(8),
        "account": account,
        "act": act,
        "principal": person or _person(),
        "reason": reason,
        "level": level,
        "instrument": instrument or None,
        "trade_no": trade,
        "client_order_id": order or None,
    }
    request = read_request(words)
    answer = _asked(request)
    if answer.code:
        _refuse(answer, account)
    _show(output, answer)
    result = {"account": account, "id": request.id, "act": act.value, "durable": answer.durable}
    output.finish(
        {
            **result,
            "seq": answer.seq,
            "repeated": answer.repeated,
            "effects": list(answer.effects),
            "refusals": list(answer.refusals),
            "kill_level": answer.kill_level,
            "paused": answer.paused,
            "open": answer.open,
        },
        ok=answer.exit_code == 0,
    )
    return answer.exit_code


def _person() -> str:
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _asked(request: Request) -> Answer:
    place = writer_dir(request.account)
    try:
        return ask(place, request)
    except NotSent as problem:
        known = known_accounts()
        if request.account not in known:
            raise UsageProblem(
                "OMS-O002",
                f"No account  {request.account}  has ever had a live writer here",
                where=str(place.parent),
                why=f"known here: {', '.join(known)}" if known else "none has",
                hint="check the id, broker/environment/name, and OMS_RUN_DIR",
            ) from None
        hint = "start the writer"
        if request.act in (Act.KILL, Act.FLAT):
            file = shlex.quote(str(place / KILL_FILE))
            hint += f", or let the next one begin flat: echo {shlex.quote(request.reason)} > {file}"
        raise EnvironmentProblem(
            "OMS-O001",
            f"No writer of {request.account} runs; nothing was done",
            where=str(place / SOCKET),
            why=f"{problem}; resting stops at the broker are not affected",
            hint=hint,
        ) from None
    except NoAnswer as problem:
        raise EnvironmentProblem(
            "OMS-O003",
            "The writer took the request and did not answer; it may have acted",
            where=str(place / SOCKET),
            why=str(problem),
            hint=f"type the same command with --id {request.id}; it counts once",
        ) from None


def _refuse(answer: Answer, account: str) -> None:
    kinds = {1: DomainProblem, 2: UsageProblem}
    kind = kinds.get(answer.exit_code, EnvironmentProblem)
    raise kind(answer.code, answer.what, where=account, why=answer.why or None, hint=answer.hint or None)


def _show(output: Output, answer: Answer) -> None:
    if answer.repeated:
        output.step("known", "this very act was taken before; nothing more was done")
    else:
        output.step("taken", f"event {answer.seq}, {MARKS[answer.durable]}")
    for effect in answer.effects:
        output.step("decided", effect)
    for refusal in answer.refusals:
        output.step("refused", refusal)
    if not answer.effects and not answer.refusals and not answer.repeated:
        output.step("decided", "nothing: it is so already")
    state = [f"kill level {answer.kill_level}"] if answer.kill_level else []
    state += ["paused"] if answer.paused else []
    held = ", ".join(f"{name} {quantity}" for name, quantity in answer.open.items())
    output.step("now", ", ".join([*state, f"open {held}" if held else "flat"]))
