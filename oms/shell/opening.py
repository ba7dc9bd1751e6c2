"""How a log begins and how a writer takes it over: the inputs every run starts with."""

import platform
import secrets
from dataclasses import dataclass
from datetime import date

from eventlog import failpoints
from eventlog.log import EventLog
from eventlog.processes import owner_text
from oms.book import Book
from oms.config import Settings
from oms.errors import UsageProblem
from oms.events.base import Event, Stamped
from oms.events.operator import ConfigActivated
from oms.events.session import AccountOpened, DayRolled, WriterStarted
from oms.policies import mismatch
from oms.shell.runner import BATCH_LIMIT, Runner
from oms.shell.snapshots import Resumed, resume
from oms.shell.versions import code_version, dependency_version
from oms.values import Micros


@dataclass(frozen=True, slots=True)
class Identity:
    """What identifies a run beyond its inputs. Tests and simulation fix all of it."""

    log_id: str
    code: str
    dependencies: str


def identity() -> Identity:
    """A new random log id, and the versions of this program."""
    return Identity(log_id=secrets.token_hex(16), code=code_version(), dependencies=dependency_version())


def open_runner(
    log: EventLog,
    account: str,
    settings: Settings,
    *,
    at: Micros,
    trading_day: date,
    who: Identity | None = None,
    batch_limit: int = BATCH_LIMIT,
) -> Runner:
    """Become the writer of an account: fold its log, then log that we started, and the configuration if it changed.

    What was decided in these steps is durable and has not left: `Runner.take_opening`.
    Raises LeaseHeld while another writer lives, and UsageProblem for a policy that this program does not have.
    """
    other = mismatch(settings.policies.enabled)
    if other:
        raise UsageProblem(
            "OMS-C030",
            f"The configuration wants {other}",
            where="policies.enabled",
            hint="python3 -m oms config show --origin",
        )
    who = who or identity()
    head = log.acquire(account, owner_text())
    failpoints.reach("writer.recovering")
    book, snapshot_seq = resume(log, account) if head.seq else Resumed(Book(), 0)
    failpoints.reach("writer.recovered")
    at = max(at, book.account.now)
    runner = Runner(log, head, book, batch_limit=batch_limit)
    runner.snapshot_seq = snapshot_seq
    runner.open(
        Stamped(event=event, logical_time=at)
        for event in _opening(book, account, settings, trading_day, who, head.epoch)
    )
    failpoints.reach("writer.started")
    return runner


def _opening(
    book: Book, account: str, settings: Settings, trading_day: date, who: Identity, epoch: int
) -> list[Event]:
    events: list[Event] = []
    known = book.account
    if not known.log_id:
        events.append(
            AccountOpened(
                account=account,
                log_id=who.log_id,
                currency=settings.account.currency,
                trading_day=trading_day,
            )
        )
    events.append(
        WriterStarted(
            epoch=epoch, code=who.code, python=platform.python_version(), dependencies=who.dependencies
        )
    )
    if known.config_sha256 != settings.sha256:
        events.append(
            ConfigActivated(config_sha256=settings.sha256, profile=settings.profile, settings=settings.body())
        )
    if known.trading_day is not None and known.trading_day < trading_day:
        events.append(DayRolled(trading_day=trading_day))
    return events
