"""The account: what is common to all its pipelines. Totals change by difference, never by summing."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from oms.config import Settings
from oms.events import broker, decisions, operator, session, strategy
from oms.events.base import Event
from oms.values import ZERO, Micros


class Awaited(Struct, frozen=True, gc=False):
    """An act that one person has asked for and a second one has to ask for too."""

    act: str
    principal: str
    until: Micros


class Account(Struct, frozen=True, gc=False, kw_only=True):
    """State of one account. `seq` is the log's end, `now` its logical time.

    `configs` holds every configuration that an open trade may still follow, by hash. `realized` and `fees` are
    per currency since the day rolled. `at_risk` is what each trade under way was planned to lose at most.
    `asked_from` is the log's end when the last link to the broker fell: books that were asked for before tell nothing
    of what it did since.
    """

    account: str = ""
    log_id: str = ""
    currency: str = ""
    seq: int = 0
    now: Micros = 0
    epoch: int = 0
    trading_day: date | None = None
    config_sha256: str = ""
    configs: dict[str, Settings] = {}
    capabilities: broker.CapabilitiesDeclared = broker.CapabilitiesDeclared()
    connected: bool = False
    reconciled: bool = False
    asked_from: int = 0
    kill_level: int = 0
    kill_reason: str = ""
    kill_seq: int = 0
    kill_day: date | None = None
    awaited: Awaited | None = None
    paused: bool = False
    next_trade_no: int = 1
    realized: dict[str, Decimal] = {}
    fees: dict[str, Decimal] = {}
    at_risk: dict[int, Decimal] = {}

    @property
    def settings(self) -> Settings:
        """The configuration in force. Raises KeyError before the first `ConfigActivated`."""
        return self.configs[self.config_sha256]

    def is_proof(self, books: broker.BrokerSnapshotReported) -> bool:
        """Whether these books are whole, and were asked for over a link that stands since."""
        return books.complete and books.asked_at_seq >= self.asked_from


def fold_account(account: Account, event: Event, now: Micros, seq: int) -> Account:
    """Apply an event to the account; every event moves its sequence and time."""
    change = _CHANGES.get(type(event))
    if change is None:
        return replace(account, seq=seq, now=now)
    return replace(account, seq=seq, now=now, **change(account, event))


def _opened(_account: Account, event: session.AccountOpened) -> dict[str, Any]:
    return {
        "account": event.account,
        "log_id": event.log_id,
        "currency": event.currency,
        "trading_day": event.trading_day,
    }


def _writer(_account: Account, event: session.WriterStarted) -> dict[str, Any]:
    # What the broker did while nobody listened is unknown until it has been asked.
    return {"epoch": event.epoch, "reconciled": False, "connected": False, "asked_from": 0}


def _config(account: Account, event: operator.ConfigActivated) -> dict[str, Any]:
    settings = Settings.from_log(msgspec.json.encode(event.settings).decode())
    return {
        "config_sha256": event.config_sha256,
        "configs": {**account.configs, event.config_sha256: settings},
    }


def _day(_account: Account, event: session.DayRolled) -> dict[str, Any]:
    return {"trading_day": event.trading_day, "realized": {}, "fees": {}}


def _capabilities(_account: Account, event: broker.CapabilitiesDeclared) -> dict[str, Any]:
    return {"capabilities": event}


def _link(account: Account, event: broker.BrokerLinkChanged) -> dict[str, Any]:
    connected = event.status is broker.BrokerLinkStatus.CONNECTED
    asked_from = account.asked_from
    # Until its first comparison a writer asks as of the commands that it holds back, which may be older than the link.
    if (account.connected or not connected) and (account.reconciled or asked_from):
        asked_from = account.seq + 1
    return {"connected": connected, "reconciled": False, "asked_from": asked_from}


def _snapshot(account: Account, event: broker.BrokerSnapshotReported) -> dict[str, Any]:
    return {"reconciled": account.reconciled or account.is_proof(event)}


def _killed(account: Account, event: decisions.KillLevelRaised) -> dict[str, Any]:
    return {
        "kill_level": event.level,
        "kill_reason": event.reason,
        "kill_seq": account.seq + 1,
        "kill_day": account.trading_day,
        "awaited": None,
    }


def _lowered(_account: Account, event: decisions.KillLevelLowered) -> dict[str, Any]:
    return {"kill_level": event.level, "kill_reason": event.reason, "kill_day": None, "awaited": None}


def _awaited(_account: Account, event: decisions.SecondPersonAwaited) -> dict[str, Any]:
    return {"awaited": Awaited(event.act, event.principal, event.until)}


def _paused(_account: Account, event: decisions.PauseChanged) -> dict[str, Any]:
    return {"paused": event.paused}


def _accepted(account: Account, event: decisions.EntryAccepted) -> dict[str, Any]:
    changed: dict[str, Any] = {"next_trade_no": event.trade_no + 1}
    if event.at_risk is not None:
        changed["at_risk"] = {**account.at_risk, event.trade_no: event.at_risk}
    return changed


def _closed(account: Account, event: decisions.TradeClosed) -> dict[str, Any]:
    currency = event.currency or account.currency
    realized = account.realized.get(currency, ZERO) + event.pnl_change
    return {"realized": {**account.realized, currency: realized}, **_released(account, event)}


def _released(account: Account, event: decisions.TradeClosed | decisions.EntryAbandoned) -> dict[str, Any]:
    return {
        "at_risk": {number: amount for number, amount in account.at_risk.items() if number != event.trade_no}
    }


def _fees(account: Account, event: broker.FeeReported) -> dict[str, Any]:
    fees = dict(account.fees)
    for fee in event.fees:
        fees[fee.currency] = fees.get(fee.currency, ZERO) + fee.amount
    return {"fees": fees}


_CHANGES: Final[dict[type[Event], Callable[[Account, Any], dict[str, Any]]]] = {
    session.AccountOpened: _opened,
    session.WriterStarted: _writer,
    operator.ConfigActivated: _config,
    session.DayRolled: _day,
    broker.CapabilitiesDeclared: _capabilities,
    broker.BrokerLinkChanged: _link,
    broker.BrokerSnapshotReported: _snapshot,
    decisions.KillLevelRaised: _killed,
    decisions.KillLevelLowered: _lowered,
    decisions.SecondPersonAwaited: _awaited,
    decisions.PauseChanged: _paused,
    decisions.EntryAccepted: _accepted,
    decisions.TradeClosed: _closed,
    decisions.EntryAbandoned: _released,
    broker.FeeReported: _fees,
}

ACCOUNT_WIDE: Final = frozenset(
    {
        session.AccountOpened,
        session.WriterStarted,
        session.DayRolled,
        session.LogLinkChanged,
        session.JournalSetAside,
        operator.ConfigActivated,
        broker.CapabilitiesDeclared,
        broker.BrokerLinkChanged,
        broker.BrokerSnapshotReported,
        broker.BooksUnanswered,
        broker.UnparsedFrame,
        broker.DuplicateConflict,
        strategy.ListenerFailed,
    }
)
"""Inputs that address the account, not an instrument."""
