"""What a day amounted to, from its log alone: trades with R and P&L, orders, protection, market orders, alerts."""

from collections import Counter
from decimal import Decimal

from msgspec import Struct

from eventlog.log import EventLog
from oms.book import Book
from oms.events.base import Event
from oms.events.decisions import Alerted, OrderPlaced, ReplaceRequested, TradeClosed
from oms.events.session import DayRolled
from oms.shell.record import event_of
from oms.state.trade import Trade
from oms.values import ZERO, Micros, OrderStatus, OrderType


class MarketOrder(Struct, frozen=True, kw_only=True):
    """A market order: the permitted reason and the seqs of the events that make it true."""

    seq: int
    instrument: str
    trade_no: int
    reason: str
    evidence: tuple[int, ...]


class TradeLine(Struct, frozen=True, kw_only=True):
    """One trade as reported. `pnl` is before fees, in the quote currency; `r` in units of planned risk."""

    trade_no: int
    instrument: str
    side: str
    quantity: Decimal
    price_entry: Decimal | None
    price_exit: Decimal | None
    reason: str
    pnl: Decimal
    r: Decimal | None
    fees: Decimal
    naked_seconds: Decimal
    unconfirmed_seconds: Decimal
    held_seconds: Decimal


class Summary(Struct, frozen=True, kw_only=True):
    """A day. Seconds are exact; `alerts` counts by severity and code."""

    account: str
    day: str
    events: int
    inputs: int
    decisions: int
    orders: int
    fills: int
    trades: tuple[TradeLine, ...]
    order_states: dict[str, int]
    market_orders: tuple[MarketOrder, ...]
    alerts: dict[str, int]
    stops_moved: int
    targets_filled: int
    abandoned: int
    refused: int
    naked_seconds: Decimal
    unconfirmed_seconds: Decimal
    realized_pnl: Decimal
    realized_r: Decimal
    fees: Decimal
    open_positions: int
    bars: int


def summarize(log: EventLog, account: str) -> Summary:
    """Fold the account's log and report its last trading day, as of just before the day rolled."""
    book, seen = Book(), _Seen()
    for row in log.read(account):
        event = event_of(row)
        seen.take(event, row.seq, row.logical_time)
        if isinstance(event, DayRolled):
            seen.keep(book)
        book.fold(event, row.logical_time, row.seq, row.pipeline)
    seen.keep(book)
    return seen.summary(account, book)


class _Seen:
    """What is counted on the way."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.types: Counter[str] = Counter()
        self.alerts: Counter[str] = Counter()
        self.market_orders: list[MarketOrder] = []
        self.closed: dict[int, TradeClosed] = {}
        self.closed_at: dict[int, Micros] = {}
        self.trades: dict[int, Trade] = {}
        self.states: Counter[str] = Counter()
        self.fills = 0
        self.targets = 0
        self._orders: set[str] = set()

    def take(self, event: Event, seq: int, now: Micros) -> None:
        self.kinds[event.KIND] += 1
        self.types[type(event).__name__] += 1
        if isinstance(event, Alerted):
            self.alerts[f"{event.severity.value} {event.code}"] += 1
        elif isinstance(event, TradeClosed):
            self.closed[event.trade_no] = event
            self.closed_at[event.trade_no] = now
        elif isinstance(event, OrderPlaced | ReplaceRequested) and event.order_type is OrderType.MARKET:
            self.market_orders.append(
                MarketOrder(
                    seq=seq,
                    instrument=event.instrument,
                    trade_no=event.trade_no,
                    reason=event.reason,
                    evidence=event.evidence,
                )
            )

    def keep(self, book: Book) -> None:
        """Remember trades and orders before a day roll forgets them."""
        for pipeline in book.pipelines.values():
            self.trades.update(pipeline.trades)
            for own, order in pipeline.orders.items():
                if own in self._orders:
                    continue
                if order.status in (OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED):
                    self._orders.add(own)
                self.states[order.status.value] += 1
                self.fills += sum(one.quantity > ZERO for one in order.executions)
                self.targets += order.rung is not None and order.filled > ZERO

    def summary(self, account: str, book: Book) -> Summary:
        lines = [self._line(trade, book.account.now) for _, trade in sorted(self.trades.items())]
        day = book.account.trading_day
        return Summary(
            account=account,
            day=str(day) if day is not None else "",
            events=sum(self.kinds.values()),
            inputs=self.kinds["I"],
            decisions=self.kinds["D"],
            orders=self.types["OrderPlaced"],
            fills=self.fills,
            trades=tuple(line for line in lines if line.quantity > ZERO),
            order_states=dict(sorted(self.states.items())),
            market_orders=tuple(self.market_orders),
            alerts=dict(sorted(self.alerts.items())),
            stops_moved=self.types["StopMoved"],
            targets_filled=self.targets,
            abandoned=self.types["EntryAbandoned"],
            refused=self.types["IntentRefused"],
            naked_seconds=sum((line.naked_seconds for line in lines), ZERO),
            unconfirmed_seconds=sum((line.unconfirmed_seconds for line in lines), ZERO),
            realized_pnl=sum((line.pnl for line in lines), ZERO),
            realized_r=sum((line.r for line in lines if line.r is not None), ZERO),
            fees=sum((line.fees for line in lines), ZERO),
            open_positions=sum(pipeline.position != ZERO for pipeline in book.pipelines.values()),
            bars=self.types["BarClosed"],
        )

    def _line(self, trade: Trade, now: Micros) -> TradeLine:
        closed = self.closed.get(trade.trade_no)
        end = self.closed_at.get(trade.trade_no, now)
        naked = trade.naked_us + (end - trade.naked_since if trade.naked_since is not None else 0)
        open_us = trade.unconfirmed_us
        if trade.unconfirmed_since is not None:
            open_us += end - trade.unconfirmed_since
        held = end - trade.first_fill_at if trade.first_fill_at is not None else 0
        return TradeLine(
            trade_no=trade.trade_no,
            instrument=trade.instrument,
            side=trade.side.value,
            quantity=trade.entered,
            price_entry=closed.price_entry if closed else trade.price_entry,
            price_exit=closed.price_exit if closed else None,
            reason=closed.reason if closed else "open",
            pnl=closed.pnl if closed else ZERO,
            r=closed.r if closed else None,
            fees=trade.fees,
            naked_seconds=_seconds(naked),
            unconfirmed_seconds=_seconds(open_us),
            held_seconds=_seconds(held),
        )


def _seconds(span: Micros) -> Decimal:
    return Decimal(span).scaleb(-6)
