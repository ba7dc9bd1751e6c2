"""Why: every link of an explanation is an earlier event, and the settings are those the rule read."""

import re

import pytest

from oms.brokers.simulated import Misbehave, When
from oms.brokers.simulated.script import NoFillAfterTrigger
from oms.config import Settings
from oms.errors import DomainProblem
from oms.policies import POLICIES
from oms.stops import CANDIDATES as STOP_CANDIDATES
from oms.values import MarketReason, Role
from replay import rules
from replay.explain import Explanation, explain
from tests.checkout import ROOT
from tests.unit.replay.days import ACCOUNT, TradingDay, ladder_day


@pytest.fixture(scope="module")
def day() -> TradingDay:
    return ladder_day((Misbehave(when=When(role=Role.STOP), what=NoFillAfterTrigger()),))


def find(day: TradingDay, type_name: str, **fields: str) -> int:
    for row in day.log.read(ACCOUNT):
        if row.type == type_name and all(
            f'"{name}": "{value}"' in row.body for name, value in fields.items()
        ):
            return row.seq
    raise AssertionError(f"no {type_name} with {fields}")


def types(steps: tuple[object, ...]) -> list[str]:
    return [step.type for step in steps]  # type: ignore[attr-defined]


@pytest.mark.req("OM-063")
def test_a_market_order_names_its_evidence(day: TradingDay) -> None:
    seq = find(day, "ReplaceRequested", order_type="MARKET")
    found = explain(day.log, ACCOUNT, seq)
    assert found.reason == MarketReason.STOP_FALLBACK
    assert types(found.evidence) == ["OrderTriggered"]
    assert types(found.close) == ["CloseRequested"]
    assert found.rule == "stop_fallback"
    assert [(one.name, one.value) for one in found.settings] == [("stop.fallback_ms", 5000)]
    assert found.settings[0].config_sha256 == Settings().sha256
    assert types(found.causes) == ["ClockAdvanced"]
    assert types(found.order)[:2] == ["OrderPlaced", "OrderAccepted"]
    assert types(found.trade) == ["EntryRequested", "EntryAccepted"]


def test_an_input_names_its_order_and_what_it_led_to(day: TradingDay) -> None:
    found = explain(day.log, ACCOUNT, find(day, "OrderFilled", side="BUY"))
    assert types(found.order)[0] == "OrderPlaced"
    assert {"StopMoved", "OrderPlaced", "GuardArmed"} <= set(types(found.led_to))
    assert found.causes == ()


def test_a_moved_stop_names_its_candidate(day: TradingDay) -> None:
    found = explain(day.log, ACCOUNT, find(day, "StopMoved", candidate="mfe_lock"))
    assert "mfe_lock.pct" in [one.name for one in found.settings]


def test_every_event_can_be_explained_by_earlier_ones(day: TradingDay) -> None:
    for row in day.log.read(ACCOUNT):
        found: Explanation = explain(day.log, ACCOUNT, row.seq)
        earlier = (*found.causes, *found.close, *found.evidence, *found.order, *found.trade)
        assert all(step.seq < row.seq for step in earlier)
        assert all(step.seq > row.seq for step in found.led_to)
        assert len(found.event.text) <= 110
        if row.kind == "D":
            assert [step.seq for step in found.causes] == [row.cause_seq]


def test_an_event_that_is_not_there(day: TradingDay) -> None:
    with pytest.raises(DomainProblem, match="no event 9999") as caught:
        explain(day.log, ACCOUNT, 9999)
    assert "the events 1 to" in (caught.value.why or "")


def test_the_table_of_rules_is_complete() -> None:
    assert set(rules.RULES) == {policy.name for policy in POLICIES} | {"invariants", "step"}
    reasons = {value for name, value in vars(MarketReason).items() if name.isupper()}
    assert set(rules.REASONS) == reasons
    assert set(rules.CANDIDATES) == set(STOP_CANDIDATES)


def test_every_setting_of_the_table_exists() -> None:
    tables = (rules.RULES, rules.REASONS, rules.CANDIDATES)
    for name in {name for table in tables for names in table.values() for name in names}:
        section, _, setting = name.partition(".")
        assert hasattr(getattr(Settings(), section), setting), name


@pytest.mark.parametrize("policy", [policy.name for policy in POLICIES])
def test_what_a_policy_reads_directly_stands_in_the_table(policy: str) -> None:
    text = (ROOT / "oms" / "policies" / f"{policy}.py").read_text(encoding="utf-8")
    read = set(re.findall(r"settings(?:_of\(trade\))?\.([a-z_]+\.[a-z_]+)", text))
    assert read <= set(rules.RULES[policy])
