"""How a day's summary is printed and written as JSON; demo and backtest share it."""

from decimal import Decimal
from typing import Any

import msgspec

from oms.cli.output import Output
from oms.values import rounded
from replay.summary import Summary


def show(output: Output, summary: Summary) -> None:
    """Print trades, orders, protection and market orders."""
    output.message("")
    rows = [
        (
            line.instrument,
            line.side.lower(),
            line.quantity,
            _price(line.price_entry),
            _price(line.price_exit),
            line.reason,
            _signed(line.pnl, 2),
            _signed(line.r, 2) if line.r is not None else "",
            _share(line.unconfirmed_seconds, line.held_seconds),
        )
        for line in summary.trades
    ]
    columns = ("trade", "side", "quantity", "entry", "exit", "closed by", "P&L", "R", "broker stop")
    output.table(columns, rows)
    output.message("")
    states = ", ".join(f"{count} {name.lower()}" for name, count in summary.order_states.items())
    output.step("orders", f"{summary.orders} placed, {summary.fills} fills: {states}")
    output.step(
        "result",
        f"{_signed(summary.realized_pnl, 2)} before {summary.fees} fees, {_signed(summary.realized_r, 2)} R",
    )
    output.step(
        "protection",
        f"naked {summary.naked_seconds} s, without confirmed broker stop {summary.unconfirmed_seconds} s",
    )
    for order in summary.market_orders:
        seqs = ", ".join(map(str, order.evidence))
        output.step("market order", f"{order.seq} {order.instrument} {order.reason}, because of {seqs}")
    alerts = ", ".join(f"{count} x {name}" for name, count in summary.alerts.items())
    output.step("alerts", alerts or "none")
    output.step("log", f"{summary.events} events: {summary.inputs} inputs, {summary.decisions} decisions")


def as_dict(summary: Summary) -> dict[str, Any]:
    """The summary for a program; amounts and seconds are text, so that nothing is rounded."""
    plain: dict[str, Any] = msgspec.to_builtins(summary)
    for name in ("naked_seconds", "unconfirmed_seconds"):
        plain[name] = _number(plain[name])
    return plain


def _number(text: str) -> float | int:
    value = Decimal(text)
    return int(value) if value == value.to_integral_value() else float(text)


def _price(price: Decimal | None) -> str:
    return f"{rounded(price, 2)}" if price is not None else ""


def _signed(value: Decimal | None, places: int) -> str:
    return f"{rounded(value, places):+}" if value is not None else ""


def _share(open_seconds: Decimal, held: Decimal) -> str:
    """Share of the holding time with a confirmed broker stop for all of the position."""
    if held <= 0:
        return ""
    return f"{rounded((held - open_seconds) / held * 100, 2)} %"
