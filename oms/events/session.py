"""Inputs that open things: the account, the writer, the day, an instrument and its session."""

from datetime import date
from decimal import Decimal
from enum import Enum

from oms.events.base import Event, register
from oms.values import Micros


class VenueStatus(Enum):
    """Trading status of an instrument; always reported by the venue, never inferred."""

    TRADING = "TRADING"
    HALTED = "HALTED"


class LogLinkStatus(Enum):
    """Whether the writer reaches the database of its log."""

    AWAY = "AWAY"
    BACK = "BACK"
    UNWRITABLE = "UNWRITABLE"


@register
class AccountOpened(Event, frozen=True, kw_only=True):
    """First event of a log. `log_id` is random, so that a reset or a restore never reuses order ids."""

    account: str
    log_id: str
    currency: str
    trading_day: date


@register
class WriterStarted(Event, frozen=True, kw_only=True):
    """A process took over writing. `epoch` enters the ids of the orders it decides."""

    epoch: int
    code: str
    python: str
    dependencies: str


@register
class DayRolled(Event, frozen=True, kw_only=True):
    """The account's own trading day changed."""

    trading_day: date


@register
class InstrumentDefined(Event, frozen=True, kw_only=True):
    """An instrument by our own permanent id. `tick` and `lot` are smallest steps; `multiplier` converts
    price x quantity into money of the settlement currency (linear instruments)."""

    instrument: str
    symbol: str
    currency: str
    tick: Decimal
    lot: Decimal
    multiplier: Decimal = Decimal(1)
    calendar: str | None = None


@register
class SessionOpened(Event, frozen=True, kw_only=True):
    """Times of one session of an instrument. Without a session close `close_at` is None."""

    instrument: str
    calendar: str
    session_date: date
    open_at: Micros
    close_at: Micros | None = None
    pre_open_at: Micros | None = None


@register
class VenueStatusChanged(Event, frozen=True, kw_only=True):
    """The venue halted or resumed trading in an instrument."""

    instrument: str
    status: VenueStatus


@register
class LogLinkChanged(Event, frozen=True, kw_only=True):
    """The writer lost or found the database of its log; AWAY: steps go to the emergency journal meanwhile.

    UNWRITABLE: the journal cannot be written either, so that steps are kept in memory alone; BACK: they have followed.
    """

    status: LogLinkStatus
    text: str = ""


@register
class JournalSetAside(Event, frozen=True, kw_only=True):
    """An emergency journal could not be taken in, or not whole; it is kept as evidence in `file`."""

    file: str
    file_sha256: str
    records: int
    text: str
