"""What crosses the wire between a client and this broker. Modelled on FIX 4.4; quantities are whole orders' totals.

Requests name an order by the client's own ids; reports carry the broker's count (`cumulative`, `leaves`).
"""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class New:
    """A new order (FIX D)."""

    client_id: str
    symbol: str
    side: str
    quantity: Decimal
    kind: str
    time_in_force: str = "DAY"
    limit: Decimal | None = None
    stop: Decimal | None = None
    reduce_only: bool = False


@dataclass(frozen=True, slots=True)
class Amend:
    """New terms for a working order (FIX G); `quantity` counts in what has executed."""

    client_id: str
    orig_id: str
    symbol: str
    quantity: Decimal
    kind: str
    limit: Decimal | None = None
    stop: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Give up what is left of an order (FIX F)."""

    client_id: str
    orig_id: str
    symbol: str


@dataclass(frozen=True, slots=True)
class AskOrder:
    """What became of one order (FIX H). `tag` comes back with the answer."""

    client_id: str
    symbol: str
    tag: int


@dataclass(frozen=True, slots=True)
class AskBooks:
    """Open orders, the day's executions and positions; `tag` comes back with the closing report. Not `whole`: that one
    alone."""

    tag: int
    whole: bool = True


Request = New | Amend | Cancel | AskOrder | AskBooks


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One message of the broker. `kind` says what it is; what does not apply is None.

    accepted, rejected, triggered, trade, corrected, busted, canceled, expired, replaced, cancel_rejected,
    replace_rejected, pending_new, pending_cancel, pending_replace, status, unknown, fee, books.
    """

    kind: str
    number: int = 0
    symbol: str = ""
    client_id: str | None = None
    orig_id: str | None = None
    order_id: str | None = None
    status: str | None = None
    side: str | None = None
    order_kind: str | None = None
    quantity: Decimal | None = None
    limit: Decimal | None = None
    stop: Decimal | None = None
    cumulative: Decimal | None = None
    leaves: Decimal | None = None
    execution: str | None = None
    last_quantity: Decimal | None = None
    last_price: Decimal | None = None
    amount: Decimal | None = None
    code: str = ""
    text: str = ""
    tag: int = 0
    complete: bool = True
    positions: tuple[tuple[str, Decimal], ...] = ()
    open_orders: tuple[str, ...] = ()
    executions: tuple[str, ...] = ()
