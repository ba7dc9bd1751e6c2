"""Inputs in few words: an instrument, its session, quotes, bars, requests. Prices and quantities are text or int."""

from datetime import date
from decimal import Decimal
from typing import Any

from oms.calendar import session as session_of
from oms.config import Settings, load_settings
from oms.events.base import Event
from oms.events.broker import (
    BrokerLinkChanged,
    BrokerLinkStatus,
    BrokerSnapshotReported,
    CapabilitiesDeclared,
)
from oms.events.market import BarClosed, QuoteReported, TradePrinted
from oms.events.operator import Act, ConfigActivated, OperatorCommanded
from oms.events.session import (
    AccountOpened,
    InstrumentDefined,
    SessionOpened,
    VenueStatus,
    VenueStatusChanged,
    WriterStarted,
)
from oms.events.strategy import AddRequested, EntryRequested, ExitRequested, MonitorReported
from oms.values import SECOND, Micros, PositionSide, ScaleOut, Severity

Number = str | int | Decimal

DAY = date(2026, 3, 9)
_SESSION = session_of("XNYS", DAY)
assert _SESSION is not None
PRE_OPEN: Micros = _SESSION.pre_open_at
OPEN: Micros = _SESSION.open_at
CLOSE: Micros = _SESSION.close_at
MINUTE: Micros = 60 * SECOND
NAME = "ACME"
STRATEGY = "tests"


def price(text: Number | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def settings(**changes: Any) -> Settings:
    """The defaults with changes by dotted name, a double underscore for the dot."""
    return load_settings(
        arguments={name.replace("__", "."): value for name, value in changes.items()}
    ).settings


def opening(configuration: Settings, account: str = "sim/sim/tests") -> list[Event]:
    """The first inputs of every log."""
    return [
        AccountOpened(account=account, log_id="log", currency="USD", trading_day=DAY),
        WriterStarted(epoch=1, code="code", python="3.11", dependencies="none"),
        ConfigActivated(
            config_sha256=configuration.sha256, profile=configuration.profile, settings=configuration.body()
        ),
    ]


def connection(capabilities: CapabilitiesDeclared | None = None, asked_at_seq: int = 3) -> list[Event]:
    """What a broker says when it is reached."""
    return [
        capabilities or CapabilitiesDeclared(client_ids_unique_for_ever=True),
        BrokerLinkChanged(status=BrokerLinkStatus.CONNECTED),
        BrokerSnapshotReported(asked_at_seq=asked_at_seq, complete=True),
    ]


def instrument(name: str = NAME, *, tick: Number = "0.01", lot: Number = 1, multiplier: Number = 1) -> Event:
    return InstrumentDefined(
        instrument=name,
        symbol=name,
        currency="USD",
        tick=Decimal(tick),
        lot=Decimal(lot),
        multiplier=Decimal(multiplier),
        calendar="XNYS",
    )


def session(name: str = NAME) -> Event:
    return SessionOpened(
        instrument=name,
        calendar="XNYS",
        session_date=DAY,
        pre_open_at=PRE_OPEN,
        open_at=OPEN,
        close_at=CLOSE,
    )


def quote(bid: Number | None, ask: Number | None, *, at: Micros, name: str = NAME) -> QuoteReported:
    return QuoteReported(instrument=name, bid=price(bid), ask=price(ask), received_at=at)


def printed(at_price: Number, *, at: Micros, name: str = NAME) -> TradePrinted:
    return TradePrinted(instrument=name, price=Decimal(at_price), received_at=at)


def bar(
    low: Number,
    high: Number,
    close: Number,
    *,
    end_at: Micros,
    seconds: int = 60,
    name: str = NAME,
    volume: Number | None = None,
) -> BarClosed:
    return BarClosed(
        instrument=name,
        open_at=end_at - seconds * SECOND,
        end_at=end_at,
        open=Decimal(low),
        high=Decimal(high),
        low=Decimal(low),
        close=Decimal(close),
        volume=price(volume),
    )


def halt(name: str = NAME) -> Event:
    return VenueStatusChanged(instrument=name, status=VenueStatus.HALTED)


def resume(name: str = NAME) -> Event:
    return VenueStatusChanged(instrument=name, status=VenueStatus.TRADING)


def entry(
    quantity: Number = 100,
    *,
    ideal: Number = "100.00",
    zone_max: Number = "100.10",
    stop: Number = "99.00",
    key_level: Number | None = None,
    side: PositionSide = PositionSide.LONG,
    intent: str = "1",
    name: str = NAME,
    profile: ScaleOut | None = None,
) -> EntryRequested:
    """By default long 100 at 100.00 with one dollar of risk: the middle size class."""
    return EntryRequested(
        instrument=name,
        strategy=STRATEGY,
        intent_id=intent,
        side=side,
        quantity=Decimal(quantity),
        ideal=Decimal(ideal),
        zone_max=Decimal(zone_max),
        stop=Decimal(stop),
        key_level=price(key_level),
        scale_out_profile=profile,
    )


def add(
    quantity: Number | None = None,
    *,
    ideal: Number = "100.60",
    zone_max: Number = "100.70",
    stop: Number | None = None,
    trade_no: int | None = None,
    intent: str = "add",
) -> AddRequested:
    """By default to the only trade, as much as the settings allow, with the stop that is there."""
    return AddRequested(
        instrument=NAME,
        strategy=STRATEGY,
        intent_id=intent,
        ideal=Decimal(ideal),
        zone_max=Decimal(zone_max),
        quantity=price(quantity),
        stop=price(stop),
        trade_no=trade_no,
    )


def leave(trade_no: int | None = None, *, name: str = NAME, strategy: str = STRATEGY) -> ExitRequested:
    return ExitRequested(instrument=name, strategy=strategy, intent_id="exit", trade_no=trade_no)


def act(kind: Act, *, level: int = 0, **where: Any) -> OperatorCommanded:
    return OperatorCommanded(act=kind, principal="somebody", reason="because", level=level, **where)


def monitor(
    severity: Severity, *, code: str = "BLOW_OFF", strategy: str = STRATEGY, name: str = NAME
) -> MonitorReported:
    return MonitorReported(instrument=name, strategy=strategy, intent_id="m", severity=severity, code=code)
