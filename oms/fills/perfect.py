"""The best to hope for: the touch fills completely, at the touch price or better, without slippage."""

from oms.fills.base import Fill, Market, Working, best_traded, better, has_quote, is_within, takes, touch


def fill(order: Working, market: Market, draw: int) -> Fill | None:
    """All of the order at the touch; a resting limit as soon as quote or print reach it."""
    price = takes(order, market)
    if price is not None:
        return Fill(order.leaves, price)
    limit = order.price_limit
    if limit is None:
        return None
    quoted = touch(order.side, market)
    if quoted is not None and is_within(order.side, quoted, limit):
        return Fill(order.leaves, quoted)
    traded = best_traded(order.side, market)
    if traded is None or not is_within(order.side, traded, limit):
        return None
    if has_quote(market) or market.first is None:
        return Fill(order.leaves, limit)
    return Fill(order.leaves, better(order.side, limit, market.first))
