"""What the audit says in SQL, compared with the fold of the same log: of any account, however it came about."""

import json
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

from eventlog.postgres import PostgresLog
from oms.book import Book
from oms.shell.record import event_of
from oms.state.trade import Trade
from oms.values import CONTEXT

Ask = Callable[..., list[dict[str, Any]]]
"""Answers a recipe by its name, narrowed to an account."""


def _trades(log: PostgresLog, account: str) -> dict[int, tuple[Trade, int]]:
    """Every trade as it stood at the end of its day, and when that was: a day that rolls forgets what is over."""
    book, found = Book(), dict[int, tuple[Trade, int]]()
    with localcontext(CONTEXT):
        for row in log.read(account):
            if row.type == "DayRolled":
                found |= _trades_of(book)
            book.fold(event_of(row), row.logical_time, row.seq, row.pipeline)
    return found | _trades_of(book)


def _trades_of(book: Book) -> dict[int, tuple[Trade, int]]:
    return {
        no: (trade, book.account.now) for one in book.pipelines.values() for no, trade in one.trades.items()
    }


def orders_and_positions(ask: Ask, log: PostgresLog, account: str) -> int:
    """Compare after every event; how many orders there are.

    Where the fold counts a fill after all, SQL knows it from the row that says so, a little later in the same step.
    """
    unsaid = {
        seq
        for row in log.read(account)
        if row.type == "ExecutionJudged" and json.loads(row.body).get("counted")
        for seq in range(row.cause_seq, row.seq)
    }
    orders = {row["seq"]: row for row in ask("order_history", account=account)}
    moves = {row["seq"]: row for row in ask("positions", account=account)}
    book, by_sql, held = Book(), dict[tuple[str, str], tuple[Any, ...]](), dict[str, Decimal]()
    with localcontext(CONTEXT):
        for row in log.read(account):
            book.fold(event_of(row), row.logical_time, row.seq, row.pipeline)
            if one := orders.get(row.seq):
                numbers = (Decimal(one[name]) for name in ("quantity", "filled", "leaves"))
                by_sql[one["pipeline"], one["client_order_id"]] = (one["status"], *numbers)
            if one := moves.get(row.seq):
                held[one["pipeline"]] = Decimal(one["quantity"])
            if (row.seq in orders or row.seq in moves) and row.seq not in unsaid:
                folded = _orders_of(book)
                assert {own: by_sql.get(own) for own in folded} == folded, row
                assert {name: held.get(name, Decimal(0)) for name in book.pipelines} == {
                    name: pipeline.position for name, pipeline in book.pipelines.items()
                }, row
    return len(by_sql)


def _orders_of(book: Book) -> dict[tuple[str, str], tuple[Any, ...]]:
    return {
        (name, own): (order.status.value, order.quantity, order.filled, order.leaves)
        for name, pipeline in book.pipelines.items()
        for own, order in pipeline.orders.items()
    }


def trades(ask: Ask, log: PostgresLog, account: str) -> int:
    """Compare quantities of all trades, and the result of those that are over; how many these are."""
    folded = _trades(log, account)
    found = ask("trades", account=account)
    assert {row["trade_no"]: (Decimal(row["entered"]), Decimal(row["held"])) for row in found} == {
        no: (trade.entered, trade.held) for no, (trade, _) in folded.items()
    }
    closed = [row for row in found if row["status"] == "closed"]
    for row in closed:
        result = folded[row["trade_no"]][0].pnl
        assert Decimal(row["pnl"]) == Decimal(row["pnl_reported"]) == result, row
    return len(closed)


def seconds_without_stop(ask: Ask, log: PostgresLog, account: str) -> int:
    """Compare how long each position had no confirmed broker stop; how many had none for a while."""
    expected = {
        no: trade.unconfirmed_us
        + (now - trade.unconfirmed_since if trade.unconfirmed_since is not None else 0)
        for no, (trade, now) in _trades(log, account).items()
    }
    found: dict[int, int] = defaultdict(int)
    for line in ask("stop_coverage", account=account):
        found[line["trade_no"]] += int(Decimal(line["seconds"]) * 1_000_000)
    expected = {no: us for no, us in expected.items() if us}
    assert {no: us for no, us in found.items() if us} == expected
    return len(expected)
