"""Importing this module makes every event type known to `oms.events.base.REGISTRY`."""

from oms.events import broker, clock, decisions, market, operator, session, slippage, strategy

__all__ = ["broker", "clock", "decisions", "market", "operator", "session", "slippage", "strategy"]
