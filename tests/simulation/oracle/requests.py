"""What the broker does with a client's requests. Refusals are answers, never exceptions."""

from decimal import Decimal

from tests.simulation.oracle.floor import MS, Floor, Quirk, about, tell_status
from tests.simulation.oracle.matching import end, execute, fee_report, meet
from tests.simulation.oracle.messages import Amend, AskBooks, AskOrder, Cancel, New, Report, Request
from tests.simulation.oracle.orders import Order

WITH_LIMIT, WITH_STOP = ("LIMIT", "STOP_LIMIT"), ("STOP", "STOP_LIMIT")


def obey(floor: Floor, request: Request, at: int) -> None:
    """Carry out a request at the time at which it arrives."""
    match request:
        case New():
            _new(floor, request, at)
        case Amend():
            _amend(floor, request, at)
        case Cancel():
            _cancel(floor, request, at)
        case AskOrder():
            _tell_order(floor, request, at)
        case AskBooks():
            tell_books(floor, request, at)


def _too_many(floor: Floor, at: int) -> bool:
    limit = floor.behaviour.requests_per_second
    if limit is None:
        return False
    floor.asked = [one for one in floor.asked if one > at - 1_000_000]
    if len(floor.asked) >= limit:
        floor.struck["rate_limit"] += 1
        return True
    floor.asked.append(at)
    return False


def _new(floor: Floor, request: New, at: int) -> None:
    family = "STOP" if request.kind in WITH_STOP else request.kind
    quirks = floor.strikes("new", f"new:{family}")
    number = len(floor.orders.all) + 1
    known = floor.orders.find(request.client_id)
    refusal = _new_refusal(floor, request, known, at)
    for quirk in quirks:
        if quirk.kind == "reject" and refusal is None:
            floor.strike(quirk)
            refusal = ("BROKER", "refused by the broker")
    order = Order(
        order_id=f"B{floor.seed % 997}-{number}",
        client_ids=[request.client_id],
        symbol=request.symbol,
        side=request.side,
        quantity=request.quantity,
        kind=request.kind,
        time_in_force=request.time_in_force,
        limit=request.limit,
        stop=request.stop,
        reduce_only=request.reduce_only,
        number=number,
    )
    order.order_ids.append(order.order_id)
    if refusal is not None:
        order.status = "REJECTED"
        named = known.order_ids[-1] if known and floor.behaviour.answers_duplicates else None
        report = about(order, "rejected", code=refusal[0], text=refusal[1])
        if known is None:
            floor.orders.add(order)
        elif refusal[0] == "DUPLICATE_ORDER":
            report = Report(
                kind="rejected",
                symbol=order.symbol,
                client_id=order.client_id,
                order_id=named,
                code=refusal[0],
                text=refusal[1],
            )
        floor.say(report, at)
        return
    floor.orders.add(order)
    _accept(floor, order, quirks, at)


def _accept(floor: Floor, order: Order, quirks: list[Quirk], at: int) -> None:
    delay = floor.behaviour.ack_delay_ms
    for quirk in quirks:
        if quirk.kind == "slow_ack":
            floor.strike(quirk)
            delay = quirk.ms
        if quirk.kind == "cancel_unasked":
            floor.later(at + quirk.ms * MS, lambda now, one=quirk: _cancel_unasked(floor, order, one, now))
    if floor.behaviour.pending_reports:
        floor.say(about(order, "pending_new"), at)
    floor.say(about(order, "accepted"), at, delay_ms=delay)
    tell_status(floor, order, at)
    meet(floor, order, at)


def _cancel_unasked(floor: Floor, order: Order, quirk: Quirk, at: int) -> None:
    if order.is_open:
        floor.strike(quirk)
        end(floor, order, at, "canceled", "canceled by the broker")


def _new_refusal(floor: Floor, request: New, known: Order | None, at: int) -> tuple[str, str] | None:
    if known is not None and (floor.behaviour.ids_unique == "ever" or known.is_open):
        return "DUPLICATE_ORDER", f"{request.client_id} is in use"
    if _too_many(floor, at):
        return "RATE_LIMIT", "too many requests"
    text = _bad_terms(floor, request)
    if text:
        return "INVALID", text
    venue = floor.venues[request.symbol]
    if venue.halted and floor.behaviour.refuses_in_halt:
        return "HALTED", "the venue has halted trading"
    if not venue.is_session and request.kind == "MARKET":
        return "CLOSED", "no market orders outside the session"
    if floor.behaviour.refuses_stop_through_market and request.kind in WITH_STOP:
        order = Order("", [""], request.symbol, request.side, request.quantity, request.kind, "", request.limit,
                      request.stop, False, 0)  # fmt: skip
        if venue.elects(order):
            return "WOULD_TRIGGER", "order would immediately trigger"
    return None


def _bad_terms(floor: Floor, request: New | Amend) -> str:
    venue = floor.venues.get(request.symbol)
    if venue is None:
        return f"{request.symbol} is not traded here"
    if request.quantity <= 0 or request.quantity % 1:
        return f"a quantity of {request.quantity}"
    if (request.limit is not None) != (request.kind in WITH_LIMIT):
        return "limit price and order type contradict each other"
    if (request.stop is not None) != (request.kind in WITH_STOP):
        return "stop price and order type contradict each other"
    for price in (request.limit, request.stop):
        if price is not None and (price <= 0 or price % venue.tick):
            return f"a price of {price} with ticks of {venue.tick}"
    return ""


def _amend(floor: Floor, request: Amend, at: int) -> None:
    quirks = floor.strikes("amend")
    order = floor.orders.find(request.orig_id)
    refusal = _amend_refusal(floor, request, order, at)
    for quirk in quirks:
        if refusal is None and quirk.kind == "reject":
            floor.strike(quirk)
            refusal = ("OTHER", "refused by the broker")
        if refusal is None and quirk.kind == "half" and order is not None:
            # The old order is gone, the new one was not taken (Binance 409).
            floor.strike(quirk)
            end(floor, order, at, "canceled", "the replacement failed half way")
            refusal = ("TOO_LATE", "the replacement failed half way")
    if refusal is not None or order is None:
        _refuse(floor, "replace_rejected", request, order, refusal or ("UNKNOWN_ORDER", ""), at)
        return
    takes = floor.behaviour.amend_takes_ms
    if not takes:
        _amended(floor, request, order, at)
        return
    order.amend_pending = request.client_id
    if floor.behaviour.pending_reports:
        floor.say(about(order, "pending_replace", client_id=request.client_id, orig_id=order.client_id), at)
    floor.later(at + takes * MS, lambda now: _amended(floor, request, order, now))


def _amend_refusal(floor: Floor, request: Amend, order: Order | None, at: int) -> tuple[str, str] | None:
    if _too_many(floor, at):
        return "OTHER", "too many requests"
    if order is None:
        return _code(floor, "UNKNOWN_ORDER"), "no such order"
    if not order.is_open:
        return _code(floor, "TOO_LATE"), f"the order is {order.status}"
    if order.amend_pending or order.cancel_pending:
        return "ALREADY_PENDING", "a request is pending"
    text = _bad_terms(floor, request)
    if text:
        return "OTHER", text
    if request.quantity < order.cumulative and floor.behaviour.below_filled == "refuse":
        return "OTHER", f"{order.cumulative} have executed already"
    if order.is_waiting_stop and not floor.behaviour.amends_stops:
        return "OTHER", "stops cannot be replaced"
    changes_kind = request.kind != order.kind
    if changes_kind and (order.kind not in WITH_STOP or not floor.behaviour.amends_kind):
        return "OTHER", f"a {order.kind} order cannot become {request.kind}"
    return None


def _code(floor: Floor, code: str) -> str:
    return "TOO_LATE_OR_UNKNOWN" if floor.behaviour.one_code_for_late_and_unknown else code


def _amended(floor: Floor, request: Amend, order: Order, at: int) -> None:
    """A replace takes effect, or has come too late."""
    order.amend_pending = None
    if not order.is_open:
        _refuse(floor, "replace_rejected", request, order, (_code(floor, "TOO_LATE"), "too late"), at)
        return
    if request.quantity < order.cumulative and floor.behaviour.below_filled == "refuse":
        _refuse(floor, "replace_rejected", request, order, ("OTHER", "executed meanwhile"), at)
        return
    orig = order.client_id
    same_price = (order.kind, order.limit) == (request.kind, request.limit)
    order.resting = order.resting and same_price
    order.elected = order.elected and request.kind in WITH_STOP
    order.client_ids.append(request.client_id)
    floor.orders.alias(request.client_id, order)
    order.quantity = max(request.quantity, order.cumulative)
    order.kind, order.limit, order.stop = request.kind, request.limit, request.stop
    if floor.behaviour.amend_gives_new_order_id:
        order.order_ids.append(f"{order.order_id}r{len(order.client_ids) - 1}")
    order.settle()
    floor.orders.note(order)
    floor.say(about(order, "replaced", orig_id=orig), at)
    tell_status(floor, order, at)
    meet(floor, order, at)


def _refuse(
    floor: Floor,
    kind: str,
    request: Amend | Cancel,
    order: Order | None,
    refusal: tuple[str, str],
    at: int,
) -> None:
    floor.say(
        Report(
            kind=kind,
            symbol=request.symbol,
            client_id=request.client_id,
            orig_id=request.orig_id,
            order_id=order.order_ids[-1] if order else None,
            status=order.status if order and not floor.behaviour.one_code_for_late_and_unknown else None,
            code=refusal[0],
            text=refusal[1],
        ),
        at,
    )


def _cancel(floor: Floor, request: Cancel, at: int) -> None:
    quirks = floor.strikes("cancel")
    order = floor.orders.find(request.orig_id)
    if order is not None and order.is_open:
        for quirk in quirks:
            _race(floor, order, quirk, at)
    refusal = _cancel_refusal(floor, order, at)
    for quirk in quirks:
        if refusal is None and quirk.kind == "reject":
            floor.strike(quirk)
            refusal = ("OTHER", "refused by the broker")
    if refusal is not None or order is None:
        _refuse(floor, "cancel_rejected", request, order, refusal or ("UNKNOWN_ORDER", ""), at)
        return
    order.cancel_pending = request.client_id
    if floor.behaviour.pending_reports:
        floor.say(about(order, "pending_cancel", client_id=request.client_id, orig_id=order.client_id), at)
    late = [quirk for quirk in quirks if quirk.kind == "late_fill"]
    takes = floor.behaviour.cancel_takes_ms
    if takes:
        floor.later(at + takes * MS, lambda now: _canceled(floor, request, order, late, now))
    else:
        _canceled(floor, request, order, late, at)


def _cancel_refusal(floor: Floor, order: Order | None, at: int) -> tuple[str, str] | None:
    if _too_many(floor, at):
        return "OTHER", "too many requests"
    if order is None:
        return _code(floor, "UNKNOWN_ORDER"), "no such order"
    if not order.is_open:
        return _code(floor, "TOO_LATE"), f"the order is {order.status}"
    if order.amend_pending and floor.behaviour.refuses_cancel_while_amending:
        return "ALREADY_PENDING", "a replace is pending"
    if order.cancel_pending:
        return "ALREADY_PENDING", "a cancel is pending"
    return None


def _canceled(floor: Floor, request: Cancel, order: Order, late: list[Quirk], at: int) -> None:
    order.cancel_pending = None
    if not order.is_open:
        _refuse(floor, "cancel_rejected", request, order, (_code(floor, "TOO_LATE"), "too late"), at)
        return
    end(floor, order, at, "canceled", "", client_id=request.client_id)
    for quirk in late:
        floor.later(at + max(quirk.ms, 1) * MS, lambda now, one=quirk: _fill_late(floor, order, one, now))


def _race(floor: Floor, order: Order, quirk: Quirk, at: int) -> None:
    """An execution gets in before the cancel."""
    if quirk.kind not in ("race_fill", "race_part"):
        return
    price = racing_price(floor, order)
    if price is None or not floor.venues[order.symbol].is_trading:
        return
    floor.strike(quirk)
    order.elected = True
    quantity = order.leaves if quirk.kind == "race_fill" else min(Decimal(1), order.leaves)
    execute(floor, order, quantity, price, at)


def _fill_late(floor: Floor, order: Order, quirk: Quirk, at: int) -> None:
    """An execution that the exchange had already made when the cancel was confirmed."""
    price = racing_price(floor, order)
    left = order.quantity - order.cumulative
    if price is None or order.status != "CANCELED" or left <= 0 or not floor.venues[order.symbol].is_trading:
        return
    floor.strike(quirk)
    execute(floor, order, min(Decimal(quirk.quantity or left), left), price, at)


def racing_price(floor: Floor, order: Order) -> Decimal | None:
    """What such an execution costs: the limit, else the far side."""
    return order.limit if order.limit is not None else floor.venues[order.symbol].touch(order.side)


def _tell_order(floor: Floor, request: AskOrder, at: int) -> None:
    order = floor.orders.find(request.client_id)
    for quirk in floor.strikes("ask"):
        if quirk.kind == "no_answer":
            floor.strike(quirk)
            return
    if order is not None:
        for execution in order.executions:
            for report in floor.history[execution.root]:
                floor.say(report, at)
        if order.is_open or not floor.behaviour.forgets_ended or order.status == "REJECTED":
            floor.say(about(order, "status", tag=request.tag), at)
            return
    floor.say(
        Report(
            kind="unknown",
            symbol=request.symbol,
            client_id=request.client_id,
            tag=request.tag,
            text="no such order",
        ),
        at,
    )


def tell_books(floor: Floor, request: AskBooks, at: int) -> None:
    """Open orders and the day's executions where the whole was asked for, then what closes the answer."""
    names = ("books", "books:first") if floor.is_first else ("books",)
    floor.is_first = False
    quirks = {quirk.kind: quirk for quirk in floor.strikes(*names)}
    for quirk in quirks.values():
        floor.strike(quirk)
    if "no_answer" in quirks:
        return
    listed = _tell_all(floor, at) if request.whole else ()
    complete = "incomplete" not in quirks
    symbols = sorted(floor.venues)
    held = tuple((name, floor.held(name)) for name in symbols if floor.held(name))
    open_ = tuple(order.client_id for order in floor.orders.all_working())
    floor.say(
        Report(
            kind="books",
            tag=request.tag,
            complete=complete,
            positions=held if complete else (),
            open_orders=open_ if complete else open_[:1],
            executions=listed,
        ),
        at,
    )


def _tell_all(floor: Floor, at: int) -> tuple[str, ...]:
    """Open orders and the day's executions; the names of the executions."""
    listed = []
    for order in floor.orders.all_working():
        floor.say(about(order, "status"), at)
    for execution in floor.executions:
        if execution.day == floor.day:
            order = floor.orders.of(execution.order_id)
            listed.append(floor.history[execution.root][0].execution or "")
            for report in floor.history[execution.root]:
                floor.say(report, at)
            if execution.fee:
                floor.say(fee_report(order, execution), at)
    return tuple(listed)
