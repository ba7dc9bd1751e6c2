"""Which tests have to notice a change of which module: its mirrored unit tests, and the golden sessions.

Where a module serves several rules its mirror is the tests of these rules.
"""

from tests.checkout import ROOT

GOLDEN = "tests/golden/test_golden.py"
RULES = "tests/unit/policies"

_HELPERS: dict[str, tuple[str, ...]] = {
    "oms/sizing.py": (
        "test_sizing.py",
        "policies/test_entry.py",
        "execution/test_degradation.py",
        "policies/test_slippage.py",
    ),
    "oms/execution/admission.py": (
        "execution/test_admission.py",
        "policies/test_entry.py",
        "policies/test_advice.py",
    ),
    "oms/execution/degradation.py": ("execution/test_degradation.py", "policies/test_degradation.py"),
    "oms/execution/guards.py": (
        "execution/test_guards.py",
        "policies/test_guard_stop.py",
    ),
    "oms/execution/market_orders.py": (
        "policies/test_exit.py",
        "policies/test_forced_close.py",
        "policies/test_stop_fallback.py",
        "policies/test_kill_switch.py",
    ),
    "oms/execution/orders.py": (
        "policies/test_entry.py",
        "policies/test_exit.py",
        "policies/test_protective_stop.py",
    ),
    "oms/execution/outgoing.py": (
        "execution/test_outgoing.py",
        "policies/test_entry.py",
        "shell/test_dispatcher.py",
        "test_step.py",
    ),
    "oms/execution/alerts.py": (
        "execution/test_alerts.py",
        "test_step.py",
        "policies/test_reconciliation.py",
    ),
    "oms/execution/tranches.py": ("policies/test_capabilities.py", "policies/test_targets.py"),
    "oms/execution/repricing.py": ("policies/test_degradation.py",),
    "oms/policies/__init__.py": ("test_step.py", "policies/test_entry.py"),
    "oms/execution/ladder.py": ("policies/test_targets.py", "policies/test_entry.py"),
    "oms/execution/exits.py": ("policies/test_exit.py", "policies/test_forced_close.py"),
    "oms/execution/entries.py": ("policies/test_entry.py", "policies/test_add_on.py"),
    "oms/policies/entry.py": (
        "policies/test_entry.py",
        "policies/test_advice.py",
        "execution/test_liquidity.py",
        "policies/test_kill_switch.py",
        "policies/test_add_on.py",
        "policies/test_capabilities.py",
    ),
    "oms/policies/protective_stop.py": (
        "policies/test_protective_stop.py",
        "policies/test_capabilities.py",
    ),
    "oms/policies/strategy_exit.py": ("policies/test_exit.py", "policies/test_add_on.py"),
    "oms/policies/targets.py": (
        "policies/test_targets.py",
        "policies/test_capabilities.py",
        "policies/test_others_trade.py",
    ),
    "oms/policies/protection.py": (
        "policies/test_protection.py",
        "policies/test_protective_stop.py",
        "policies/test_unseen_fills.py",
    ),
    "oms/policies/stop_fallback.py": (
        "policies/test_stop_fallback.py",
        "policies/test_capabilities.py",
    ),
    "oms/policies/exit.py": (
        "policies/test_exit.py",
        "policies/test_forced_close.py",
        "policies/test_capabilities.py",
        "policies/test_unseen_fills.py",
    ),
    "oms/policies/reconciliation.py": (
        "policies/test_reconciliation.py",
        "policies/test_exit.py",
        "policies/test_others_trade.py",
    ),
    "oms/policies/degradation.py": ("policies/test_degradation.py", "execution/test_degradation.py"),
}
_STOPS = ("stops/test_boundaries.py", "stops/test_candidates.py", "policies/test_protective_stop.py")


def mirror_of(file: str) -> list[str]:
    """Test files from the root, quickest to fail first."""
    room, _, name = file.removeprefix("oms/").removesuffix(".py").rpartition("/")
    names = _HELPERS.get(file, _STOPS if room == "stops" else (f"{room}/test_{name}.py",))
    mirrored = [f"tests/unit/{one}" for one in names if (ROOT / "tests/unit" / one).is_file()]
    extra = sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests/unit" / room).glob(f"test_{name}_*.py")
        if str(path.relative_to(ROOT)) not in mirrored
    )
    table = [f"{RULES}/test_table.py"] if room == "policies" else []
    return [*table, *mirrored, *extra, GOLDEN]
