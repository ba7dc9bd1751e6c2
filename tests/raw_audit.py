"""The log judged from outside: raw rows in, findings out, without one line of the product.

    python3 tests/raw_audit.py LOG.jsonl
    python3 tests/raw_audit.py "postgresql://..." ACCOUNT

Written from the rules alone (architecture 6 and 9.7), so that an error of the program cannot hide in its own proof:
gapless rows; positions as sums of unique fills; stops that stand alone and equal the position; seconds without
protection; one effective order per intent; market orders with a reason and evidence. Prints one JSON object and
leaves with 1 if anything was found.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

# The other half lies beside this file, wherever it is run from.
sys.path.insert(0, str(Path(__file__).parent))

from raw_orders import STOPS, ZERO, Order, Row, Trade, report, stops_of

GROUPS = ("group", "oca", "oca_group", "oco", "order_list", "order_list_id", "parent_id")
UNPROTECTED = "unprotected"


class Audit:
    """Takes rows in order; `result` says what they amount to."""

    def __init__(self) -> None:
        self.findings: list[str] = []
        self.rows = 0
        self.now = 0
        self.cause = 0
        self.orders: dict[str, Order] = {}
        self.aliases: dict[str, Order] = {}
        self.trades: dict[int, Trade] = {}
        self.intents: dict[tuple[str, str], int] = {}
        self.intent_of: dict[int, tuple[str, str]] = {}
        self.keys: set[tuple[str, str]] = set()
        self.positions: dict[str, Decimal] = {}
        self.quotes: dict[str, tuple[int, bool]] = {}
        self.halted: set[str] = set()
        self.settings: Row = {}
        self.last_fill: dict[str, int] = {}
        self.market_orders = 0

    # Rows

    def take(self, rows: Iterable[Row]) -> None:
        """Take all rows; each step is judged at its end."""
        for row in rows:
            if row["kind"] == "I" and self.rows:
                self.judge()
            self._order_of_rows(row)
            self.now = row["logical_time"]
            body = json.loads(row["body"])
            handle = getattr(self, f"_{row['type']}", None)
            if handle is not None:
                handle(row, body)
            elif row.get("client_order_id") or row.get("broker_order_id"):
                self._report(row, body)
        self.judge()

    def find(self, text: str) -> None:
        """Note what is wrong."""
        self.findings.append(text)

    def _order_of_rows(self, row: Row) -> None:
        self.rows += 1
        if row["seq"] != self.rows:
            self.find(f"row {self.rows} is missing or stands twice: found {row['seq']}")
        self.cause = row["seq"] if row["kind"] == "I" else self.cause
        if row["cause_seq"] != self.cause:
            self.find(f"row {row['seq']} names the cause {row['cause_seq']}, its step began at {self.cause}")
        if row["logical_time"] < self.now:
            self.find(f"row {row['seq']}: logical time goes back")
        key = (row.get("source"), row.get("dedupe_key"))
        if None not in key:
            if key in self.keys:
                self.find(f"row {row['seq']}: the key {key} was used before")
            self.keys.add(key)

    # What is known of market and configuration

    def _ConfigActivated(self, row: Row, body: Row) -> None:  # noqa: N802 - named after the row's type.
        self.settings = body["settings"]

    def _QuoteReported(self, row: Row, body: Row) -> None:  # noqa: N802
        name, at = body["instrument"], body["received_at"]
        if name not in self.quotes or at >= self.quotes[name][0]:
            bid, ask = body.get("bid"), body.get("ask")
            good = bid is not None and ask is not None and Decimal(bid) <= Decimal(ask)
            self.quotes[name] = (at, good)

    def _ClockAdvanced(self, row: Row, body: Row) -> None:  # noqa: N802
        for quote in body.get("quotes", ()):
            self._QuoteReported(row, quote)

    def _VenueStatusChanged(self, row: Row, body: Row) -> None:  # noqa: N802
        (self.halted.add if body["status"] == "HALTED" else self.halted.discard)(body["instrument"])

    def _limit(self, section: str, name: str) -> int:
        return int(self.settings[section][name]) * 1000

    # Decisions

    def _EntryAccepted(self, row: Row, body: Row) -> None:  # noqa: N802
        self.trades[body["trade_no"]] = Trade(body["trade_no"], body["instrument"], body["side"])
        intent = (body["strategy"], body["intent_id"])
        self.intent_of[body["trade_no"]] = intent
        if intent in self.intents:
            self.find(f"row {row['seq']}: intent {intent} was accepted before, at {self.intents[intent]}")
        self.intents[intent] = row["seq"]

    def _OrderPlaced(self, row: Row, body: Row) -> None:  # noqa: N802
        order = Order(row, body, 1 if body["side"] == "BUY" else -1)
        if order.own in self.orders:
            self.find(f"row {row['seq']}: the order id {order.own} was used before")
        self.orders[order.own] = self.aliases[order.own] = order
        self.trades[body["trade_no"]].orders.append(order)
        self._check_terms(row, body, order)
        if order.role == "ENTRY":
            entries = [one for one in self.trades[body["trade_no"]].orders if one.role == "ENTRY"]
            if sum(one.is_live or one.filled > ZERO for one in entries) > 1:
                intent = self.intent_of[body["trade_no"]]
                self.find(f"row {row['seq']}: a second effective order for intent {intent}")

    def _ReplaceRequested(self, row: Row, body: Row) -> None:  # noqa: N802
        order = self._ask(row, body, "REPLACE")
        self._check_terms(row, body, order)

    def _CancelRequested(self, row: Row, body: Row) -> None:  # noqa: N802
        self._ask(row, body, "CANCEL")

    def _ask(self, row: Row, body: Row, kind: str) -> Order:
        order = self.orders[body["client_order_id"]]
        order.asks[row["seq"]] = (kind, self.now)
        order.changes[body["wire_id"]] = row["seq"]
        order.touched = self.now
        self.aliases.setdefault(body["wire_id"], order)
        return order

    def _RepriceSkipped(self, row: Row, body: Row) -> None:  # noqa: N802
        self.orders[body["client_order_id"]].touched = self.now

    def _QueryRequested(self, row: Row, body: Row) -> None:  # noqa: N802
        """A question changes nothing."""

    def _check_terms(self, row: Row, body: Row, order: Order) -> None:
        groups = [name for name in GROUPS if name in body]
        if groups and (order.role == "STOP" or body["order_type"] in STOPS):
            self.find(f"row {row['seq']}: a stop carries a group: {groups}")
        if body["order_type"] != "MARKET":
            return
        self.market_orders += 1
        evidence, reason = body.get("evidence", ()), body.get("reason", "")
        if reason not in self.settings["market_orders"]["allowed_reasons"]:
            self.find(f"row {row['seq']}: a market order with the reason {reason!r}")
        if not evidence or any(not 1 <= seq < row["seq"] for seq in evidence):
            self.find(f"row {row['seq']}: a market order with the evidence {list(evidence)}")

    def _GuardArmed(self, row: Row, body: Row) -> None:  # noqa: N802
        self.trades[body["trade_no"]].guard = True

    def _GuardDisarmed(self, row: Row, body: Row) -> None:  # noqa: N802
        self.trades[body["trade_no"]].guard = False

    def _CloseRequested(self, row: Row, body: Row) -> None:  # noqa: N802
        self.trades[body["trade_no"]].closing = True

    def _TradeClosed(self, row: Row, body: Row) -> None:  # noqa: N802
        trade = self.trades[body["trade_no"]]
        trade.guard = False
        if trade.held != ZERO or trade.entered != Decimal(body["quantity"]):
            self.find(
                f"row {row['seq']}: trade {trade.number} is said to be closed over {body['quantity']}; "
                f"its fills entered {trade.entered} and still hold {trade.held}"
            )

    def _Alerted(self, row: Row, body: Row) -> None:  # noqa: N802
        if body["code"] == UNPROTECTED and body.get("trade_no") in self.trades:
            self.trades[body["trade_no"]].measure("alerted", self.now, holds=True)

    def _AlertCleared(self, row: Row, body: Row) -> None:  # noqa: N802
        if body["code"] == UNPROTECTED:
            self.trades[body["trade_no"]].measure("alerted", self.now, holds=False)

    # Reports of the broker

    def _report(self, row: Row, body: Row) -> None:
        ids = [body.get(name) for name in ("client_order_id", "orig_client_order_id", "broker_order_id")]
        order = next((self.aliases[one] for one in ids if one in self.aliases), None)
        if order is None:
            if row["type"] == "OrderFilled":
                order = self._external(row, body)
            else:
                return
        if body.get("broker_order_id"):
            self.aliases.setdefault(body["broker_order_id"], order)
        before = order.filled
        report(order, row, body)
        if order.filled != before:
            name = body["instrument"]
            change = (order.filled - before) * order.sign
            self.positions[name] = self.positions.get(name, ZERO) + change
            self.last_fill[name] = row["seq"]

    def _external(self, row: Row, body: Row) -> Order:
        name = f"X:{body.get('broker_order_id') or body.get('client_order_id')}"
        terms = {
            "client_order_id": name,
            "quantity": Decimal(body["quantity"]) + Decimal(body.get("leaves", 0)),
        }
        return self.orders.setdefault(name, Order(row, terms, 1 if body["side"] == "BUY" else -1))

    def _PositionAdjusted(self, row: Row, body: Row) -> None:  # noqa: N802
        name = body["instrument"]
        self.positions[name] = self.positions.get(name, ZERO) + Decimal(body["quantity"])

    def _BrokerSnapshotReported(self, row: Row, body: Row) -> None:  # noqa: N802
        theirs = {line["instrument"]: Decimal(line["quantity"]) for line in body.get("positions", ())}
        for name in sorted({*theirs, *self.positions}) if body["complete"] else ():
            ours = self.positions.get(name, ZERO)
            if self.last_fill.get(name, 0) <= body["asked_at_seq"] and theirs.get(name, ZERO) != ours:
                self.find(
                    f"row {row['seq']}: the broker holds {theirs.get(name, ZERO)} {name}, the fills say {ours}"
                )

    # The end of a step

    def judge(self) -> None:
        """What holds now that the step is complete."""
        for trade in self.trades.values():
            held = trade.held
            covered = sum((order.leaves for order in stops_of(trade) if order.is_confirmed), ZERO)
            trade.measure("unconfirmed", self.now, holds=held != ZERO and covered < abs(held))
            trade.measure("naked", self.now, holds=not self._is_protected(trade, held, covered))
            self._check_stop(trade, held)

    def _is_protected(self, trade: Trade, held: Decimal, covered: Decimal) -> bool:
        if held == ZERO or trade.instrument in self.halted or (held > ZERO and covered >= held):
            return True
        patience, deadline = (
            self._limit("protection", "ack_timeout_ms"),
            self._limit("protection", "resolve_timeout_ms"),
        )
        at, good = self.quotes.get(trade.instrument, (0, False))
        guarded = trade.guard and good and self.now - at <= self._limit("market_data", "stale_quote_ms")
        leaving = ZERO
        for order in trade.live("EXIT"):
            unanswered = [since for kind, since in order.asks.values() if kind == "SUBMIT"]
            sent = all(self.now < since + patience for since in unanswered)
            if (
                order.sign * trade.sign * held < ZERO
                and sent
                and (guarded or self.now < order.touched + deadline)
            ):
                leaving += order.leaves
        if leaving >= abs(held):
            return True
        asks = (ask for order in trade.live("STOP") for ask in order.asks.values())
        return guarded and any(kind != "CANCEL" and self.now < since + patience for kind, since in asks)

    def _check_stop(self, trade: Trade, held: Decimal) -> None:
        """At a quiet point, where nothing of a stop is unanswered, the stops are as large as the position."""
        stops = stops_of(trade)
        unquiet = trade.closing or trade.instrument in self.halted or any(order.asks for order in stops)
        if unquiet or not stops or any(order.triggered or order.filled or order.refusals for order in stops):
            return
        standing = sum((order.leaves for order in stops), ZERO)
        if standing != held:
            self.find(
                f"row {self.rows}: the stops of trade {trade.number} stand for {standing}, it holds {held}"
            )

    def result(self, account: str) -> Row:
        """Everything as plain JSON data."""
        trades = [self._trade(trade) for trade in self.trades.values()]
        return {
            "account": account,
            "ok": not self.findings,
            "rows": self.rows,
            "findings": self.findings,
            "positions": {name: str(quantity) for name, quantity in sorted(self.positions.items())},
            "market_orders": self.market_orders,
            "intents": len(self.intents),
            "naked_seconds": str(sum((Decimal(one["naked_seconds"]) for one in trades), ZERO)),
            "alerted_seconds": str(sum((Decimal(one["alerted_seconds"]) for one in trades), ZERO)),
            "unconfirmed_seconds": str(sum((Decimal(one["unconfirmed_seconds"]) for one in trades), ZERO)),
            "trades": trades,
        }

    def _trade(self, trade: Trade) -> Row:
        seconds = {f"{name}_seconds": str(trade.seconds(name, self.now)) for name in trade.us}
        return {"trade_no": trade.number, "instrument": trade.instrument, "held": str(trade.held), **seconds}


COLUMNS = (
    "seq, cause_seq, kind, type, logical_time, body::text, pipeline, trade_no, client_order_id, broker_order_id,"
    " reason, source, dedupe_key"
)
ROWS = f"""
SELECT {COLUMNS.replace("logical_time", "(extract(epoch FROM logical_time) * 1000000)::bigint")}
FROM oms.event WHERE account = %s ORDER BY seq, trading_day
"""


def from_file(path: Path) -> tuple[str, Iterator[Row]]:
    """(account, rows) of an exported log."""
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    account = next(lines)["account"]
    return account, (line for line in lines if "seq" in line)


def from_database(conninfo: str, account: str) -> Iterator[Row]:
    """The rows of an account, straight from the table."""
    import psycopg

    names = [name.strip().partition("::")[0] for name in COLUMNS.split(",")]
    with psycopg.connect(conninfo) as connection, connection.cursor(name="raw_audit") as cursor:
        cursor.execute(ROWS, (account,))
        for values in cursor:
            yield dict(zip(names, values, strict=True))


def audit(account: str, rows: Iterable[Row]) -> Row:
    """Judge the rows of one account."""
    found = Audit()
    found.take(rows)
    return found.result(account)


def main(words: list[str]) -> int:
    """Run the command line."""
    if len(words) == 1:
        result = audit(*from_file(Path(words[0])))
    elif len(words) == 2:
        result = audit(words[1], from_database(words[0], words[1]))
    else:
        print(__doc__, file=sys.stderr)
        return 2
    print(json.dumps(result, ensure_ascii=False))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
