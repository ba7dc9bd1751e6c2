"""A state as tables: what is held, who holds the stop, what is under way and what comes next."""

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oms.cli.output import Output
    from replay.situation import OrderLine, PipelineLine, Situation, TradeLine

NONE = "-"


def show(output: "Output", found: "Situation") -> None:
    """Print the state of an account at one instant."""
    _header(output, found)
    trades = [_trade(line, trade) for line in found.pipelines for trade in line.trades]
    if trades:
        columns = ["", "trade", "", "held", "entry", "stop", "held by", "covers", "realized", "open", "R"]
        output.message("")
        output.table([*columns, "naked s", "unconf. s"], trades)
    orders = [
        _order(line.instrument, order)
        for line in found.pipelines
        for order in (*(order for trade in line.trades for order in trade.orders), *line.external_orders)
        if order.is_live
    ]
    if orders:
        output.message("")
        output.table(
            ["", "order", "", "type", "quantity", "filled", "limit", "stop", "state", "unanswered"], orders
        )
    _instruments(output, found)


def _header(output: "Output", found: "Situation") -> None:
    link = "connected" if found.connected else "not connected"
    books = "books compared" if found.reconciled else "books not compared yet"
    output.step("writer", f"epoch {found.epoch}, broker {link}, {books}")
    money = [f"realized {_money(found.realized)}", f"fees {_money(found.fees)}"]
    output.step("day", ", ".join(money))
    if found.kill_level:
        output.step("KILLED", f"level {found.kill_level}: {found.kill_reason}")
    if found.paused:
        output.step("PAUSED", "entries are paused by an operator")


def _instruments(output: "Output", found: "Situation") -> None:
    from replay.moments import shown_clock

    rows = []
    for line in found.pipelines:
        due = f"{shown_clock(line.next_due)} {line.next_policy}" if line.next_due is not None else NONE
        said = [line.venue.lower(), f"safe mode: {line.safe_mode}" if line.safe_mode else "", *line.alerts]
        quote = f"{_text(line.bid)} / {_text(line.ask)}"
        rows.append([line.instrument, line.position, quote, _age(line), ", ".join(filter(None, said)), due])
    if rows:
        output.message("")
        output.table(["", "position", "bid / ask", "age s", "venue", "next deadline (UTC)"], rows)


def _trade(line: "PipelineLine", trade: "TradeLine") -> list[object]:
    holder: str = "NOBODY: NAKED" if trade.holder == "nobody" else trade.holder
    if trade.is_over and trade.holder == "flat":
        holder = "over"
    elif trade.closing:
        holder = f"{holder} ({trade.closing})"
    return [
        line.instrument,
        trade.trade_no,
        trade.side,
        _text(trade.held),
        _text(trade.price_entry),
        f"{trade.stop} {trade.stop_source}" if trade.stop is not None else NONE,
        holder,
        f"{_text(trade.covered)}/{_text(trade.held)}",
        _text(trade.pnl_realized),
        _text(trade.pnl_open),
        f"{trade.r:+.2f}" if trade.r is not None else NONE,
        _text(trade.naked_seconds),
        _text(trade.unconfirmed_seconds),
    ]


def _order(instrument: str, order: "OrderLine") -> list[object]:
    return [
        instrument,
        order.role.lower(),
        order.side,
        order.order_type,
        _text(order.quantity),
        _text(order.filled),
        _text(order.price_limit),
        _text(order.price_stop),
        order.state,
        ", ".join(order.pending).lower() or NONE,
    ]


def _age(line: "PipelineLine") -> str:
    return f"{line.quote_age_seconds:.3f}" if line.quote_age_seconds is not None else NONE


def _money(amounts: dict[str, Decimal]) -> str:
    return (
        ", ".join(f"{_text(amount)} {currency}" for currency, amount in sorted(amounts.items())) or "nothing"
    )


def _text(value: Decimal | None) -> str:
    """A number without the zeros that only tell how it was computed."""
    if value is None:
        return NONE
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
