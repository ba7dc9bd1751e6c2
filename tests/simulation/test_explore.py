"""Every answer of a broker to one trade of three shares: no state breaks a rule, and a broken rule is noticed."""

import pytest

from oms.events.base import Event
from oms.events.broker import OrderFilled
from oms.state import fills
from oms.state.order import Order
from tests.simulation import explore

STATES = 1_500


@pytest.mark.parametrize("start", sorted(explore.STARTS))
def test_no_state_breaks_a_rule(start: str) -> None:
    found = explore.explore(STATES, start=start)
    assert found.violations == []
    assert found.states >= STATES
    assert found.depth >= 2


def test_a_broken_rule_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(order: Order, event: Event, *_: object) -> fills.Result:
        return order, ()

    monkeypatch.setitem(explore_folds(), OrderFilled, forgetful_fold(forgetful))
    found = explore.explore(STATES)
    assert found.violations
    assert found.violations[0][0].startswith("I24")


def explore_folds() -> dict[type[Event], object]:
    from oms.state.fold import FOLDS

    return FOLDS  # type: ignore[return-value]


def forgetful_fold(change: object) -> object:
    from oms.state.fold_orders import _on_order

    return _on_order(change)  # type: ignore[arg-type]
