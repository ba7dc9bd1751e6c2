"""Planted bugs of the core: fold, policies, stops. Each is one that somebody could write."""

from tests.simulation.wrong import Wrong, wrong

FILLS = "oms/state/fills.py"
STANDING = "oms/state/standing.py"
ODDITIES = "oms/state/oddities.py"
REPORTS = "oms/state/reports.py"
REQUESTS = "oms/state/requests.py"
ORDERS = "oms/state/fold_orders.py"
TRADE = "oms/state/trade.py"
POLICIES = "oms/policies/"

CORPUS: tuple[Wrong, ...] = (
    # Executions
    wrong(
        "executions are not told apart",
        FILLS,
        "    if known is not None and event.revision <= known.revision:\n        return _told_late(",
        "    known = None\n    if known is not None:\n        return _told_late(",
    ),
    wrong(
        "a restated fill is booked beside the first",
        FILLS,
        "    if event.revision > 0:",
        "    if False:",
    ),
    wrong(
        "a bust is ignored",
        FILLS,
        "return _restate(order, event, known, (ZERO, price), now, seq)",
        "return order, ()",
    ),
    wrong(
        "a bust is booked as half",
        FILLS,
        "return _restate(order, event, known, (ZERO, price), now, seq)",
        "return _restate(order, event, known, ((known.quantity if known else ZERO) // 2, price), now, seq)",
    ),
    wrong(
        "a correction is ignored",
        FILLS,
        "    return _restate(order, event, known, (event.quantity, event.price), now, seq)\n\n\ndef bust",
        "    return order, ()\n\n\ndef bust",
    ),
    wrong(
        "a late fill is ignored",
        FILLS,
        "        order, late = _after_end(order, event)",
        "        return order, ()",
    ),
    wrong(
        "the value of a fill forgets its quantity",
        FILLS,
        "value=order.value + quantity * price,",
        "value=order.value + price,",
    ),
    wrong(
        "the broker's leaves are taken for truth",
        STANDING,
        "    return unfilled if reported is None or reported > unfilled else reported",
        "    return quantity if reported is None else reported",
    ),
    wrong(
        "an order grows with what it is overfilled by",
        "oms/state/fills.py",
        "    if filled > ordered and order.trade_no is None:",
        "    if filled > ordered:",
    ),
    wrong(
        "overfills pass in silence",
        ODDITIES,
        "    if beyond <= ZERO or beyond <= before.filled - before.quantity:",
        "    if True:",
    ),
    wrong(
        "the wrong side is booked",
        FILLS,
        "    if event.side is not order.side:",
        "    if False:",
    ),
    wrong(
        "gaps of the broker's count are not noticed",
        ODDITIES,
        "    if after.total <= after.filled or after.missing <= before.missing:",
        "    if True:",
    ),
    # Reports
    wrong(
        "absence of a request ends the order",
        REPORTS,
        "    is_history = event.client_order_id != order.wire_id or event.asked_at_seq < order.placed_seq",
        "    is_history = event.asked_at_seq < order.placed_seq",
    ),
    wrong(
        "a request without a trace is forgotten",
        REPORTS,
        "        if changed.pending or (changed.status not in LIVE_STATES and changed.missing <= ZERO):",
        "        if True:",
    ),
    wrong(
        "a replace leaves the quantity as it was",
        REPORTS,
        "        quantity=max(event.quantity, order.filled, order.total, event.cumulative or ZERO),\n        price_limit=event.price_limit,",
        "        quantity=order.quantity,\n        price_limit=event.price_limit,",
    ),
    wrong(
        "a refusal leaves the request open",
        REPORTS,
        "        order, pending=requests.without(order, request), refusals=refusals",
        "        order, pending=order.pending, refusals=refusals",
    ),
    wrong(
        "a rejection is overheard",
        REPORTS,
        "    if outcome is Outcome.MOVE:\n        return replace(\n            order, status=status, leaves=ZERO",
        "    if outcome is Outcome.MOVE:\n        return replace(\n            order, leaves=ZERO",
    ),
    wrong(
        "a cancelled order keeps its leaves",
        REPORTS,
        "        status=status,\n        leaves=ZERO,\n        pending=(),\n        cancel_cause=cause,",
        "        status=status,\n        pending=(),\n        cancel_cause=cause,",
        (
            STANDING,
            "    if status in ENDED_STATES:\n        return ZERO\n    unfilled",
            "    unfilled",
        ),
    ),
    wrong(
        "an election is overheard",
        REPORTS,
        "    if order.triggered_at is not None:\n        return order, found",
        "    if True:\n        return order, found",
    ),
    wrong(
        "totals in statuses are not compared",
        REPORTS,
        "    order, gaps = counted(order, cumulative, order.leaves if leaves is None else leaves, now)\n    return order, (*found, *gaps)",
        "    return order, found",
    ),
    wrong(
        "a stop that vanished is not told",
        ODDITIES,
        "    if cause in (None, CancelCause.REQUESTED) or order.role not in (Role.STOP, Role.EXIT):",
        "    if True:",
    ),
    # Requests
    wrong(
        "a cancel counts as done when it is sent",
        REQUESTS,
        "    pending = Pending(kind=PendingKind.CANCEL, seq=seq, wire_id=event.wire_id, since=now, asked_at=now)\n    return replace(order, pending=(*order.pending, pending), requested_at=now)",
        "    return replace(order, pending=(), leaves=order.leaves - order.leaves, status=type(order.status).CANCELED)",
    ),
    wrong(
        "unknown is taken for not sent",
        ORDERS,
        "    if not event.sent:",
        "    if True:",
    ),
    wrong(
        "what the gate refused stays open",
        ORDERS,
        "    changed, anomalies = reports.not_sent(order, event.command_seq, text, now)",
        "    changed, anomalies = order, ()",
    ),
    # Trades
    wrong(
        "a short's result has the wrong sign",
        TRADE,
        "return (self.exit_value - self.entry_value) * SIGN_OF[self.side] * multiplier",
        "return (self.exit_value - self.entry_value) * multiplier",
    ),
    wrong(
        "buying back counts as selling",
        TRADE,
        "        sign = 1 if new.side is SELL_OF[trade.side] else -1",
        "        sign = 1",
    ),
    wrong(
        "a lot keeps its first quantity",
        TRADE,
        "            changed = replace(lot, quantity=order.filled, value=order.value)",
        "            changed = lot",
    ),
    wrong(
        "stale quotes are fresh",
        "oms/state/market.py",
        "return self.is_two_sided and self.quote_at is not None and now - self.quote_at <= stale_us",
        "return self.is_two_sided",
    ),
    wrong(
        "crossed quotes are good",
        "oms/state/market.py",
        "return self.bid is not None and self.ask is not None and self.bid <= self.ask",
        "return self.bid is not None and self.ask is not None",
    ),
    wrong(
        "unanswered books count as compared",
        "oms/state/account.py",
        'return {"connected": connected, "reconciled": False, "asked_from": asked_from}',
        'return {"connected": connected, "reconciled": connected, "asked_from": asked_from}',
    ),
    wrong(
        "half an answer counts as compared",
        "oms/state/account.py",
        "return books.complete and books.asked_at_seq",
        "return books.asked_at_seq",
    ),
    wrong(
        "books of an earlier link count as compared",
        "oms/state/account.py",
        "return books.complete and books.asked_at_seq >= self.asked_from",
        "return books.complete",
    ),
    wrong(
        "nakedness is not told",
        "oms/state/invariants.py",
        "        if naked is not (NAKED in trade.alerts):",
        "        if False:",
    ),
    # Stop
    wrong(
        "the stop's quantity is not reduced",
        POLICIES + "protective_stop.py",
        "    if stop.leaves == wanted and stop.price_stop == level:",
        "    if stop.price_stop == level:",
    ),
    wrong(
        "the stop is for what was intended",
        POLICIES + "protective_stop.py",
        "    yield orders.place(trade, Role.STOP, wanted, order_type",
        "    yield orders.place(trade, Role.STOP, trade.quantity, order_type",
    ),
    wrong(
        "the guard is not armed",
        POLICIES + "protective_stop.py",
        "    elif guard is None or guard.level != level:",
        "    elif False:",
    ),
    wrong(
        "an orphan stop is left",
        POLICIES + "protective_stop.py",
        '    yield from retries.cancels(view, trade, live, policy=NAME, reason="no position")\n    yield from _disarmed(trade, "no position")',
        '    yield from _disarmed(trade, "no position")',
    ),
    wrong(
        "a stop is sent through the market",
        POLICIES + "protective_stop.py",
        "    if _is_through(view, trade, level):\n        yield from _exit_through(view, trade)\n        return\n    order_type",
        "    order_type",
    ),
    wrong(
        "a second stop stands beside the first",
        POLICIES + "protective_stop.py",
        "        if not live:\n            if wanted > ZERO:",
        "        if not any(order.leaves == trade.held for order in live):\n            if wanted > ZERO:",
    ),
    wrong(
        "the limit of a stop lies on the wrong side",
        POLICIES + "protective_stop.py",
        "    limit = level * (ONE - SIGN_OF[trade.side] * setting.limit_offset_pct)",
        "    limit = level * (ONE + SIGN_OF[trade.side] * setting.limit_offset_pct)",
    ),
    wrong(
        "the trail may loosen the stop",
        "oms/stops/__init__.py",
        "or not is_better(trade, price, level):",
        'or not (name == "mfe_lock" or is_better(trade, price, level)):',
        (
            "oms/stops/__init__.py",
            "        if is_better(trade, price, level):",
            '        if name == "mfe_lock" or is_better(trade, price, level):',
        ),
    ),
    wrong(
        "stops are day orders",
        "oms/execution/orders.py",
        "        time_in_force=TimeInForce.GTC if role is Role.STOP else TimeInForce.DAY,",
        "        time_in_force=TimeInForce.DAY,",
    ),
    wrong(
        "a short's stop is passed downwards",
        "oms/execution/guards.py",
        "    return price <= level if trade.side is LONG else price >= level",
        "    return price <= level",
    ),
    # Exit
    wrong(
        "the exit sells what was entered",
        POLICIES + "exit.py",
        "    quantity = view.pipeline.exposed(trade)\n    if close.market:",
        "    quantity = trade.entered\n    if close.market:",
    ),
    wrong(
        "the exit stands beside the stop",
        POLICIES + "exit.py",
        "    if stop is None or (stop.is_pending and view.now >= unanswered_at(view, stop)):",
        "    if True:",
    ),
    wrong(
        "the exit does not wait for the targets",
        POLICIES + "exit.py",
        "    if view.now < _targets_leave_at(view, trade) or is_blocked(view, orders.exit_side(trade)):",
        "    if is_blocked(view, orders.exit_side(trade)):",
    ),
    wrong(
        "an exit works in a halt",
        POLICIES + "exit.py",
        "        elif trade.close is not None and not view.market.is_halted:\n            yield from _carry_out",
        "        elif trade.close is not None:\n            yield from _carry_out",
    ),
    wrong(
        "an oversell is not repaired",
        POLICIES + "reconciliation.py",
        "    if trade.held >= ZERO:\n        return\n    if trade.close",
        "    if True:\n        return\n    if trade.close",
    ),
    wrong(
        "nobody asks what became of a request",
        POLICIES + "reconciliation.py",
        "            if view.now >= due:",
        "            if False:",
    ),
    wrong(
        "a mismatch is not told",
        POLICIES + "reconciliation.py",
        "    if theirs != ours:\n        yield Alerted(",
        "    if False:\n        yield Alerted(",
    ),
    # Targets, entry
    wrong(
        "targets sell a share too many",
        POLICIES + "targets.py",
        "        extra = max(min(shares[index] - has, room), ZERO)",
        "        extra = shares[index] + 1 if is_missing else max(min(shares[index] - has, room), ZERO)",
    ),
    wrong(
        "targets stay when the stop is out",
        "oms/execution/tranches.py",
        "    return any(order.triggered_at is not None or order.filled > ZERO for order in view.live(trade.stops))",
        "    return False",
    ),
    wrong(
        "trail only keeps its targets",
        "oms/execution/tranches.py",
        "trade.close is not None or trade.trail_only or view.pipeline.safe_mode:",
        "trade.close is not None or view.pipeline.safe_mode:",
    ),
    wrong(
        "a target that came back stays",
        POLICIES + "targets.py",
        "        kept, surplus = live, _surplus(live) if len(live) > 1 else []",
        "        kept, surplus = live, list[Order]()",
    ),
    wrong(
        "one cycle too many",
        POLICIES + "entry.py",
        "    if number > last:",
        "    if number > last + 1:",
    ),
    wrong(
        "prices are rounded the wrong way",
        "oms/values.py",
        "to_integral_value(ROUND_FLOOR)",
        "to_integral_value(ROUND_CEILING)",
    ),
    wrong(
        "the rest of an entry stays",
        POLICIES + "entry.py",
        "    if order.first_fill_at is not None and view.now >= _rest_ends(view, trade, order):",
        "    if False:",
    ),
    wrong(
        "an entry with unseen fills is abandoned",
        POLICIES + "entry.py",
        "    return not any(order.missing for order in view.orders(trade.entries))",
        "    return True",
        (
            POLICIES + "entry.py",
            "    if trade.held != ZERO or trade.unsettled(view.pipeline.instrument.multiplier):\n        return False\n",
            "",
        ),
    ),
    wrong(
        "what the broker counts and nobody saw is sold again",
        "oms/state/pipeline.py",
        "            left -= unseen",
        "            left -= ZERO",
    ),
)
