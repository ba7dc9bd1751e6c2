"""Which settings a rule reads, so that an explanation can show the values that were in force.

A close is explained by its reason, a moved stop by its candidate, everything else by its policy. Limits of safety
follow the configuration in force at that moment; the rest follows the one the trade was opened under.
"""

from collections.abc import Mapping
from typing import Final

RULES: Final[Mapping[str, tuple[str, ...]]] = {
    "kill_switch": (),
    "protection": (
        "protection.max_retries",
        "protection.on_exhausted",
        "protection.resolve_timeout_ms",
        "protection.ack_timeout_ms",
    ),
    "reconciliation": ("protection.ack_timeout_ms", "protection.resolve_timeout_ms"),
    "forced_close": (
        "forced_close.start_before_close_ms",
        "forced_close.end_before_close_ms",
        "forced_close.mode",
    ),
    "guard_stop": (
        "guard.confirm_ms",
        "guard.max_spread_pct",
        "stop.fallback_ms",
        "halt.exit_on_resume",
        "market_data.stale_quote_ms",
    ),
    "stop_fallback": ("stop.fallback_ms",),
    "strategy_exit": ("exit.on_exhausted",),
    "exit": (
        "exit.reprice_interval_ms",
        "exit.max_cycles",
        "exit.on_exhausted",
        "exit.collar_pct",
        "exit.collar_reprice_ms",
        "market_orders.allowed_reasons",
        "protection.max_retries",
        "protection.ack_timeout_ms",
    ),
    "bracket": (),
    "protective_stop": (
        "stop.type",
        "stop.limit_offset_pct",
        "protection.max_retries",
        "protection.retry_ms",
    ),
    "targets": (
        "targets.policy",
        "targets.scale_out_profile",
        "protection.max_retries",
        "protection.retry_ms",
    ),
    "entry": (
        "entry.reprice_interval_ms",
        "entry.max_cycles",
        "entry.partial_rest_ms",
        "entry.valid_for_ms",
        "pre_market.mode",
        "pre_market.max_position_pct",
        "pre_market.attempt_ms",
        "targets.compact_below",
        "targets.full_above",
        "risk.max_position_pct",
        "risk.daily_loss_limit",
        "account.day_capital",
        "gate.max_order_value",
        "gate.max_order_quantity",
        "market_data.stale_quote_ms",
        "depth.use",
    ),
    "degradation": (
        "degradation.cancel_replace_rate_warn",
        "degradation.cancel_replace_rate_recover",
        "degradation.cancel_replace_window_ms",
        "degradation.min_requests",
        "degradation.order_trade_ratio_warn",
        "degradation.order_trade_ratio_recover",
        "degradation.order_trade_window_ms",
        "degradation.min_orders",
        "degradation.degraded_interval_ms",
        "degradation.fill_rate_warn",
        "degradation.fill_rate_attempts",
        "degradation.fill_rate_action",
    ),
    "add_on": (
        "add_on.condition",
        "add_on.min_profit_r",
        "add_on.ema_band_pct",
        "add_on.max_count",
        "add_on.size",
        "add_on.pct_of_initial",
        "add_on.gamma",
        "entry.valid_for_ms",
        "risk.max_position_pct",
        "risk.daily_loss_limit",
        "account.day_capital",
    ),
    "slippage": (
        "slippage.single_pct",
        "risk.min_rr",
        "slippage.warn_pct",
        "slippage.warn_trades",
        "slippage.reduce_pct",
        "slippage.reduce_trades",
        "slippage.reduce_by",
    ),
    "invariants": (
        "protection.ack_timeout_ms",
        "protection.cleanup_ms",
        "market_data.stale_quote_ms",
    ),
    "step": (),
}
"""Policy -> dotted settings. `invariants` and `step` are no policies, but they decide as well."""

REASONS: Final[Mapping[str, tuple[str, ...]]] = {
    "FORCED_CLOSE": RULES["forced_close"],
    "KILL_SWITCH": (),
    "STOP_FALLBACK": ("stop.fallback_ms",),
    "STOP_PARTIAL_FILL": ("stop.type",),
    "GAP_THROUGH_STOP": ("stop.type", "market_data.stale_quote_ms"),
    "POST_HALT": ("halt.exit_on_resume",),
    "GUARD_STOP": (
        "guard.confirm_ms",
        "guard.max_spread_pct",
        "stop.fallback_ms",
        "market_data.stale_quote_ms",
    ),
    "PROTECTION_LOST": RULES["protection"],
    "OVERSELL_REPAIR": (),
    "TAKE_PROFIT_TRIGGER": ("market_orders.allowed_reasons",),
    "EXIT_EXHAUSTED": ("exit.on_exhausted", "exit.max_cycles", "exit.reprice_interval_ms"),
}
"""Reason of a close or market order -> dotted settings."""

CANDIDATES: Final[Mapping[str, tuple[str, ...]]] = {
    "initial": (),
    "breakeven": (
        "breakeven.trigger",
        "breakeven.offset_mode",
        "breakeven.offset_pct",
        "breakeven.offset_ticks",
    ),
    "mfe_lock": ("mfe_lock.activate_r", "mfe_lock.pct"),
    "atr_trail": ("trail.activate_r", "trail.atr_factor", "trail.atr_length"),
    "slippage": ("slippage.single_pct",),
    "runner": ("runner.buffer_ticks", "runner.ema_length"),
    "monitor": ("monitor.on_critical", "monitor.tighten_atr_factor"),
}
"""Stop candidate -> dotted settings."""

IN_FORCE: Final = (
    "account.",
    "degradation.",
    "forced_close.",
    "gate.",
    "market_data.",
    "protection.ack_timeout_ms",
    "protection.cleanup_ms",
    "risk.",
)
"""Settings that apply to open trades as well, at once."""


def settings_read(policy: str, reason: str = "", candidate: str = "") -> tuple[str, ...]:
    """The dotted settings behind a decision, the most telling first; empty where the rule reads none."""
    if candidate:
        return CANDIDATES.get(candidate, ())
    if reason in REASONS:
        return REASONS[reason]
    return RULES.get(policy, ())


def follows_trade(setting: str) -> bool:
    """Whether an open trade keeps the value it was opened with."""
    return not setting.startswith(IN_FORCE)
