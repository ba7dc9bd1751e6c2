"""Orders and trades as raw rows tell of them: half of `raw_audit.py`, and as free of the product as that.

Quantities are Decimals, times whole microseconds. An order's id is the one of its first placement.
"""

from decimal import Decimal
from typing import Any

ZERO = Decimal(0)
SECOND = Decimal(1_000_000)
STOPS = ("STOP", "STOP_LIMIT")
DEAD = ("CANCELED", "EXPIRED", "REJECTED")
WORKING = ("NEW", "PARTIALLY_FILLED", "STOPPED")
Row = dict[str, Any]


class Order:
    """One order as the rows tell of it. `asks` are our unanswered requests: decision seq -> (kind, since).

    `changes` are the wire ids of its replaces and cancels, with the seq of the decision.
    """

    def __init__(self, row: Row, body: Row, sign: int) -> None:
        self.own, self.seq, self.sign = str(body["client_order_id"]), row["seq"], sign
        self.trade_no, self.role, self.kind = (
            row.get("trade_no"),
            body.get("role", ""),
            body.get("order_type", ""),
        )
        self.quantity = self.leaves = Decimal(body["quantity"])
        self.asks: dict[int, tuple[str, int]] = {row["seq"]: ("SUBMIT", row["logical_time"])}
        self.touched = row["logical_time"]
        self.changes: dict[str, int] = {}
        self.executions: dict[str, dict[str, Any]] = {}
        self.acknowledged = self.dead = self.suspended = self.triggered = False
        self.refusals = 0

    @property
    def filled(self) -> Decimal:
        return sum((one["quantity"] for one in self.executions.values()), ZERO)

    @property
    def is_live(self) -> bool:
        return not self.dead and self.filled < self.quantity and (self.leaves > ZERO or bool(self.asks))

    @property
    def is_confirmed(self) -> bool:
        return self.is_live and self.acknowledged and not self.suspended and self.leaves > ZERO

    def answer(self, kind: str) -> None:
        """The oldest request of this kind has got its answer."""
        seq = next((seq for seq, (one, _) in self.asks.items() if one == kind), None)
        if seq is not None:
            del self.asks[seq]

    def settle(self, leaves: str | None) -> None:
        """Leaves are what the broker says, and never more than what is unfilled."""
        unfilled = max(self.quantity - self.filled, ZERO)
        self.leaves = unfilled if leaves is None else min(Decimal(leaves), unfilled)

    def book(self, body: Row, quantity: Decimal) -> None:
        """Count an execution once, at its highest revision; an interval the broker's count has seen is no news."""
        root, revision = str(body["execution"]), int(body.get("revision", 0))
        known = self.executions.get(root)
        if known is not None:
            if revision <= known["revision"]:
                return
            if quantity != known["quantity"]:
                # The broker's count has shifted, so that older intervals no longer compare.
                for one in self.executions.values():
                    one["interval"] = None
            known.update(revision=revision, quantity=quantity)
            return
        interval = _interval(body.get("cumulative"), quantity) if revision == 0 else None
        if interval is not None and self._covered(interval) == quantity:
            return
        self.executions[root] = {"revision": revision, "quantity": quantity, "interval": interval}

    def _covered(self, new: tuple[Decimal, Decimal]) -> Decimal:
        seen = (
            one["interval"] for one in self.executions.values() if one["interval"] and one["quantity"] > ZERO
        )
        return sum((max(min(new[1], old[1]) - max(new[0], old[0]), ZERO) for old in seen), ZERO)


class Trade:
    """One trade: who guards it, and how long nobody did."""

    def __init__(self, number: int, instrument: str, side: str) -> None:
        self.number, self.instrument, self.sign = number, instrument, 1 if side == "LONG" else -1
        self.orders: list[Order] = []
        self.guard = self.closing = False
        self.since: dict[str, int | None] = {"naked": None, "unconfirmed": None, "alerted": None}
        self.us: dict[str, int] = {"naked": 0, "unconfirmed": 0, "alerted": 0}

    @property
    def held(self) -> Decimal:
        return sum((order.filled * order.sign for order in self.orders), ZERO) * self.sign

    @property
    def entered(self) -> Decimal:
        return sum((order.filled for order in self.orders if order.role == "ENTRY"), ZERO)

    def live(self, role: str) -> list[Order]:
        return [order for order in self.orders if order.role == role and order.is_live]

    def measure(self, name: str, now: int, *, holds: bool) -> None:
        """Let a clock run while `holds` is true."""
        since = self.since[name]
        if holds and since is None:
            self.since[name] = now
        elif not holds and since is not None:
            self.us[name] += now - since
            self.since[name] = None

    def seconds(self, name: str, now: int) -> Decimal:
        since = self.since[name]
        return Decimal(self.us[name] + (now - since if since is not None else 0)) / SECOND


def report(order: Order, row: Row, body: Row) -> None:
    """Take what the broker, or the way to it, says of an order."""
    kind = row["type"]
    if kind in ("OrderFilled", "ExecutionCorrected", "ExecutionBusted"):
        _execution(order, kind, body)
    elif kind in ("OrderAccepted", "OrderTriggered"):
        order.acknowledged = True
        order.triggered = order.triggered or kind == "OrderTriggered"
        order.answer("SUBMIT")
    elif kind in ("OrderCanceled", "OrderRejected"):
        order.dead = True
        order.asks.clear()
    elif kind == "OrderReplaced":
        _replaced(order, body)
    elif kind in ("CancelRejected", "ReplaceRejected"):
        order.refusals += kind == "ReplaceRejected"
        order.answer("CANCEL" if kind == "CancelRejected" else "REPLACE")
    elif kind == "OrderStatusReported":
        _status(order, body)
    elif kind == "OrderUnknown":
        _unknown(order, body)
    elif kind in ("CommandRefused", "CommandExpired") or (kind == "CommandFailed" and not body["sent"]):
        asked, _ = order.asks.pop(body["command_seq"], ("", 0))
        order.dead = order.dead or asked == "SUBMIT"


def _execution(order: Order, kind: str, body: Row) -> None:
    order.answer("SUBMIT")
    order.acknowledged = True
    if kind == "OrderFilled" and (body["side"] == "BUY") != (order.sign > 0):
        return
    order.book(body, ZERO if kind == "ExecutionBusted" else Decimal(body["quantity"]))
    order.settle(body.get("leaves"))


def _replaced(order: Order, body: Row) -> None:
    order.answer("REPLACE")
    order.acknowledged, order.refusals = True, 0
    order.quantity, order.kind = Decimal(body["quantity"]), body.get("order_type", order.kind)
    order.settle(body.get("leaves"))
    if order.role == "STOP" and order.kind not in STOPS:
        # The stop was turned into the exit.
        order.role = "EXIT"


def _status(order: Order, body: Row) -> None:
    status = body["status"]
    order.suspended = status == "SUSPENDED"
    if status in DEAD:
        order.dead = True
        order.asks.clear()
    elif status in WORKING:
        order.acknowledged = True
        order.answer("SUBMIT")
        if "leaves" in body:
            order.settle(body["leaves"])


def _unknown(order: Order, body: Row) -> None:
    """A change that never arrived leaves the order as it was; an order that never arrived is none."""
    asked = order.changes.get(body["client_order_id"], order.seq)
    if body["asked_at_seq"] < asked:
        return
    if asked == order.seq:
        order.dead = True
    else:
        order.asks.pop(asked, None)


def stops_of(trade: Trade) -> list[Order]:
    """The live stops of a trade; one that was turned into the exit is none any more."""
    return [order for order in trade.live("STOP") if order.kind in STOPS]


def _interval(cumulative: str | None, quantity: Decimal) -> tuple[Decimal, Decimal] | None:
    if cumulative is None or Decimal(cumulative) < quantity:
        return None
    return Decimal(cumulative) - quantity, Decimal(cumulative)
