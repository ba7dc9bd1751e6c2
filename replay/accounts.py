"""Which account is meant when nobody named one: the one written last, and always said so."""

from typing import Final

import psycopg
from msgspec import Struct

from eventlog.envelope import Head
from eventlog.log import EventLog
from oms.errors import DomainProblem, UsageProblem

# The database's own clock decides; logical time would prefer yesterday's live day to today's backtest of last year.
WRITTEN_LAST: Final = """
SELECT h.account FROM oms.account_head AS h
JOIN oms.event AS e ON e.shard = h.shard AND e.account = h.account AND e.seq = h.seq
    AND e.trading_day = h.trading_day
ORDER BY e.recorded_at DESC, h.account DESC LIMIT 1
"""


class Chosen(Struct, frozen=True, kw_only=True):
    """An account and the number of accounts it was chosen from; 0 where it was named."""

    head: Head
    among: int = 0

    def __str__(self) -> str:
        if self.among < 2:
            return self.head.account
        return f"{self.head.account}, written last of {self.among} accounts (--account chooses)"


def choose(log: EventLog, account: str | None, conninfo: str | None = None) -> Chosen:
    """The head of the named account, or of the one written last. `conninfo` tells where to ask for the latter.

    Raises UsageProblem for an account that is not there, DomainProblem where there is none at all.
    """
    heads = [head for head in log.heads() if head.seq]
    if not heads:
        raise DomainProblem(
            "OMS-R001",
            "There is nothing to replay yet",
            why="the log has no events",
            hint="python3 -m oms demo",
        )
    if account is not None:
        found = next((head for head in heads if head.account == account), None)
        if found is None:
            raise no_account(account, [head.account for head in heads])
        return Chosen(head=found)
    newest = written_last(conninfo) if conninfo is not None and len(heads) > 1 else None
    head = next((one for one in heads if one.account == newest), max(heads, key=_recency))
    return Chosen(head=head, among=len(heads))


def written_last(conninfo: str) -> str | None:
    """The account whose last event the database recorded last."""
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(WRITTEN_LAST).fetchone()
    return str(row[0]) if row else None


def no_account(account: str, known: list[str]) -> UsageProblem:
    """What to say of an account that the log does not have; `known` are those it has."""
    return UsageProblem(
        "OMS-R006",
        f"There is no account  {account}",
        why=f"the log has {_named(known)}" if known else "the log has no events",
        hint=f"--account {known[-1]}" if known else "python3 -m oms demo",
    )


def _recency(head: Head) -> tuple[int, str]:
    return head.logical_time or 0, head.account


def _named(accounts: list[str]) -> str:
    shown = ", ".join(accounts[:6])
    return shown if len(accounts) <= 6 else f"{shown} and {len(accounts) - 6} more"
