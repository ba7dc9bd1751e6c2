"""What a fill model is asked and what it answers; the rules that all models share.

A model is a pure function of one working order, the newest market and one deterministic integer. Prices are
compared from our own side: for a buy a higher price is worse, for a sell a lower one.
"""

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from msgspec import Struct

from oms.values import ONE, SIGN_OF_SIDE, ZERO, OrderType, Side, round_down_to_lot


class Working(Struct, frozen=True, gc=False, kw_only=True):
    """An order that may execute. `resting` means it met an open market before and was not filled then."""

    side: Side
    order_type: OrderType
    leaves: Decimal
    price_limit: Decimal | None = None
    price_stop: Decimal | None = None
    resting: bool = False


class Market(Struct, frozen=True, gc=False, kw_only=True):
    """The newest market of an instrument.

    `first`, `low` and `high` span what traded in the event under judgement (one price for a print, the whole
    range for a bar) and are None for a quote. `last` is the newest print, `close` that of the newest bar.
    """

    tick: Decimal
    lot: Decimal = ONE
    bid: Decimal | None = None
    ask: Decimal | None = None
    last: Decimal | None = None
    close: Decimal | None = None
    first: Decimal | None = None
    low: Decimal | None = None
    high: Decimal | None = None


class Fill(Struct, frozen=True, gc=False):
    """How much executes, at which price."""

    quantity: Decimal
    price: Decimal


FillModel = Callable[[Working, Market, int], Fill | None]
"""(order, market, draw) -> what executes now. Untriggered stops are never shown to a model."""

DRAW_BITS: Final = 64


def draw(seed: int, order_id: str, n: int) -> int:
    """A deterministic integer below 2**64; the only source of variety that a model has."""
    digest = hashlib.sha256(f"{seed}|{order_id}|{n}".encode()).digest()
    return int.from_bytes(digest[: DRAW_BITS // 8], "big")


def worse(side: Side, one: Decimal, other: Decimal) -> Decimal:
    """The price that costs us more."""
    return max(one, other) if side is Side.BUY else min(one, other)


def better(side: Side, one: Decimal, other: Decimal) -> Decimal:
    """The price that costs us less."""
    return min(one, other) if side is Side.BUY else max(one, other)


def is_within(side: Side, price: Decimal, limit: Decimal) -> bool:
    """Whether `price` is the limit or better."""
    return price <= limit if side is Side.BUY else price >= limit


def touch(side: Side, market: Market) -> Decimal | None:
    """The quote we would trade against; None where it is missing or the quote is crossed."""
    if market.bid is not None and market.ask is not None and market.bid > market.ask:
        return None
    return market.ask if side is Side.BUY else market.bid


def has_quote(market: Market) -> bool:
    """Whether any quote is known; without one, prints and bars stand in for it."""
    return market.bid is not None or market.ask is not None


def taking_price(order: Working, market: Market) -> Decimal | None:
    """What an order that takes liquidity pays before slippage; None while there is nothing to take.

    Without quotes a stop pays its own level, or the first price traded where the market gapped beyond it.
    """
    if has_quote(market):
        return touch(order.side, market)
    price = next((p for p in (market.first, market.last, market.close) if p is not None), None)
    if price is None or order.price_stop is None:
        return price
    return worse(order.side, price, order.price_stop)


def best_traded(side: Side, market: Market) -> Decimal | None:
    """The extreme of the event's trading that favours a resting order: the low for a buy."""
    return market.low if side is Side.BUY else market.high


def is_triggered(order: Working, market: Market) -> bool:
    """Whether a stop is elected: by prints; without prints by the quote it would trade against.

    A sell stop needs the print, or without prints the bid, at or below its level; mirrored for buys.
    """
    assert order.price_stop is not None, "only stops trigger"
    traded = market.low if order.side is Side.SELL else market.high
    level = traded if traded is not None else market.last
    if level is None:
        level = touch(order.side, market) if has_quote(market) else market.close
    return level is not None and worse(order.side, level, order.price_stop) == level


def slipped(side: Side, price: Decimal, ticks: int, market: Market) -> Decimal:
    """`price` moved against us by so many ticks; never below one tick."""
    return max(price + SIGN_OF_SIDE[side] * ticks * market.tick, min(price, market.tick))


def capped(order: Working, price: Decimal) -> Decimal:
    """`price`, but never beyond the order's limit."""
    return price if order.price_limit is None else better(order.side, price, order.price_limit)


def takes(order: Working, market: Market) -> Decimal | None:
    """The taking price of an order that takes liquidity now: market and stop orders, limits on arrival."""
    price = taking_price(order, market)
    if price is None or order.price_limit is None:
        return price
    return price if not order.resting and is_within(order.side, price, order.price_limit) else None


def part_of(leaves: Decimal, lot: Decimal, draw_: int, parts: int) -> Decimal:
    """Between one and `parts` parts of `leaves`, in whole lots, at least one lot."""
    share = round_down_to_lot(leaves * (draw_ % parts + 1) / parts, lot)
    return min(leaves, share if share > ZERO else lot)
