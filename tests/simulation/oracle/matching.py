"""Orders meet the market; executions are booked, corrected and taken back."""

from decimal import Decimal

from tests.simulation.oracle.floor import MS, Floor, Quirk, about, tell_status
from tests.simulation.oracle.messages import Report
from tests.simulation.oracle.orders import ZERO, Execution, Order

EARLY = 2
"""Milliseconds by which what should come later comes first."""


def match(floor: Floor, symbol: str, at: int, printed: Decimal | None = None) -> None:
    """Show the newest quote, or a print, to every working order of a symbol, oldest first."""
    venue = floor.venues[symbol]
    if not venue.is_trading:
        return
    for order in floor.orders.working(symbol):
        if order.is_open:
            meet(floor, order, at, printed)


def meet(floor: Floor, order: Order, at: int, printed: Decimal | None = None) -> None:
    """Let one order meet the market: be elected, execute, or rest."""
    venue = floor.venues[order.symbol]
    if not venue.is_trading or not order.is_open or order.suspended:
        return
    if order.is_waiting_stop:
        if not (venue.elects(order) or (printed is not None and venue.elects(order, printed))):
            return
        elect(floor, order, at)
    if floor.stuck.get(order.order_id, 0) > at:
        return
    price = venue.price_of(order)
    if price is None:
        order.resting = order.resting or venue.touch(order.side) is not None
        return
    quantity = part(floor, order)
    if order.reduce_only and floor.behaviour.native_reduce_only:
        room = -order.sign * floor.held(order.symbol)
        if quantity > room:
            if room > ZERO:
                execute(floor, order, room, price, at)
            end(floor, order, at, "canceled", "reduce only: no position left")
            return
    execute(floor, order, quantity, price, at)


def elect(floor: Floor, order: Order, at: int) -> None:
    """A stop becomes a live order."""
    order.elected = True
    if floor.behaviour.reports_trigger:
        floor.say(about(order, "triggered"), at)
    for quirk in floor.strikes("elected"):
        if quirk.kind == "no_fill":
            floor.strike(quirk)
            floor.stuck[order.order_id] = at + quirk.ms * MS


def part(floor: Floor, order: Order) -> Decimal:
    """How much of an order executes now, in whole shares."""
    parts = floor.draw("part", order.symbol, order.nth, len(order.executions)) % floor.behaviour.parts + 1
    if len(order.executions) >= floor.behaviour.parts:
        parts = 1
    return max((order.leaves / parts).to_integral_value(), Decimal(1)) if parts > 1 else order.leaves


def execute(floor: Floor, order: Order, quantity: Decimal, price: Decimal, at: int) -> None:
    """Book an execution and report it, with what goes wrong about it."""
    names = ("trade:HAND",) if order.by_hand else ("trade", f"trade:{order.kind}")
    quirks = floor.strikes(*names)
    for quirk in quirks:
        if quirk.kind == "overfill":
            floor.strike(quirk)
            quantity = order.leaves + max(quirk.quantity, 1)
    root = f"{floor.seed % 9973}.{len(floor.executions) + 1}"
    fee = quantity * Decimal(floor.behaviour.fee_per_share)
    execution = Execution(root, order.order_id, quantity, price, floor.day, fee=fee)
    floor.executions.append(execution)
    order.executions.append(execution)
    floor.ledger.trade(f"execution {root}", order.symbol, order.sign * quantity, price)
    floor.ledger.fee(f"fee {root}", fee)
    order.settle()
    floor.orders.note(order)
    report = traded(floor, order, execution)
    floor.history[root] = [report]
    delay = 0
    for quirk in quirks:
        delay = _mistreat(floor, order, execution, quirk, at) or delay
    said = _garbled(floor, report, quirks)
    if said is not None:
        floor.say(said, at, delay_ms=delay)
    tell_status(floor, order, at)
    if fee:
        floor.say(fee_report(order, execution), at, delay_ms=delay + 1)


def fee_report(order: Order, execution: Execution) -> Report:
    """What an execution cost."""
    return Report(kind="fee", symbol=order.symbol, execution=execution.root, amount=execution.fee)


def traded(floor: Floor, order: Order, execution: Execution, kind: str = "trade") -> Report:
    """The report of an execution at its present revision."""
    name = execution.root
    if floor.behaviour.revisions_in_ids:
        name = f"{execution.root}.{execution.revision + 1:02d}"
        kind = "trade" if kind == "corrected" else kind
    report = about(
        order,
        kind,
        execution=name,
        last_quantity=execution.quantity,
        last_price=execution.price,
        tag=execution.revision,
    )
    return report if floor.behaviour.totals_in_trades else _without_totals(report)


def _without_totals(report: Report) -> Report:
    from dataclasses import replace

    return replace(report, cumulative=None, leaves=None)


def _mistreat(floor: Floor, order: Order, execution: Execution, quirk: Quirk, at: int) -> int:
    """Plan what happens to an execution later; returns the delay of its report in milliseconds."""
    when = at + max(quirk.ms, 1) * MS
    match quirk.kind:
        case "bust":
            floor.later(when, lambda now: restate(floor, order, execution, ZERO, execution.price, now, quirk))
        case "correct_price":
            price = execution.price + floor.venues[order.symbol].tick * max(quirk.quantity, 1)
            floor.later(
                when, lambda now: restate(floor, order, execution, execution.quantity, price, now, quirk)
            )
        case "correct_quantity" if execution.quantity > 1:
            less = execution.quantity - 1
            floor.later(when, lambda now: restate(floor, order, execution, less, execution.price, now, quirk))
        case "early_status":
            # The order's new status, with its totals, overtakes the execution.
            floor.strike(quirk)
            floor.say(about(order, "status"), at)
            return max(quirk.ms, EARLY)
    return 0


def _garbled(floor: Floor, report: Report, quirks: list[Quirk]) -> Report | None:
    """The report as it goes out."""
    from dataclasses import replace

    for quirk in quirks:
        match quirk.kind:
            case "wrong_side":
                floor.strike(quirk)
                return replace(report, side="SELL" if report.side == "BUY" else "BUY")
            case "zero_quantity":
                floor.strike(quirk)
                return replace(report, last_quantity=ZERO)
            case "alias" if report.cumulative is not None:
                floor.strike(quirk)
                floor.say(report, floor.now)
                return replace(report, execution=f"poll-{report.execution}")
    return report


def restate(
    floor: Floor, order: Order, execution: Execution, quantity: Decimal, price: Decimal, at: int, quirk: Quirk
) -> None:
    """Correct an execution, or take it back (quantity zero)."""
    if not execution.quantity:
        return
    floor.strike(quirk)
    sign = order.sign
    floor.ledger.trade(f"undo {execution.root}", order.symbol, -sign * execution.quantity, execution.price)
    if quantity:
        floor.ledger.trade(f"redo {execution.root}", order.symbol, sign * quantity, price)
    was_filled = order.status == "FILLED"
    execution.quantity, execution.price, execution.revision = quantity, price, execution.revision + 1
    if was_filled and order.cumulative < order.quantity:
        if floor.behaviour.bust_reopens and not order.was_ended:
            order.status = "PARTIALLY_FILLED" if order.cumulative else "NEW"
        else:
            order.status = "CANCELED"
    order.settle()
    floor.orders.note(order)
    report = traded(floor, order, execution, "corrected" if quantity else "busted")
    floor.history[execution.root].append(report)
    floor.say(report, at)
    tell_status(floor, order, at)


def end(floor: Floor, order: Order, at: int, kind: str, text: str, client_id: str | None = None) -> None:
    """An order ends without (further) execution; `kind` is canceled or expired."""
    order.status = "EXPIRED" if kind == "expired" else "CANCELED"
    order.was_ended = True
    floor.orders.note(order)
    orig = order.client_id if client_id is not None else None
    floor.say(about(order, kind, client_id=client_id or order.client_id, orig_id=orig, text=text), at)
    tell_status(floor, order, at)
