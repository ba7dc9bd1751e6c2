"""Settings: defaults, bounds, order of sources, and the form that enters the log."""

import ast
import copy
import json
import pickle
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from oms import config
from oms.config import Settings, load_settings, profile_names
from oms.config_problems import field_of, leaves
from oms.errors import ConfigError
from oms.formulas.risk import SizeClass
from tests.checkout import python_files, tree_of

LADDERS = {"compact", "standard", "full"}
"""Settings that are read by the name of a size class."""
NUMERIC_TEXTS = ["nan", "inf", "-inf", "-1", "1e30", "abc", "true", ""]


def refused(**sources: Any) -> ConfigError:
    with pytest.raises(ConfigError) as problem:
        load_settings(**sources)
    return problem.value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("entry.reprice_interval_ms", 5000, marks=pytest.mark.req("OD-113")),
        pytest.param("entry.max_cycles", 3, marks=pytest.mark.req("OD-114")),
        pytest.param("exit.max_cycles", 3, marks=pytest.mark.req("OD-114")),
        pytest.param("stop.limit_offset_pct", Decimal("0.001"), marks=pytest.mark.req("OD-115")),
        pytest.param("stop.fallback_ms", 5000, marks=pytest.mark.req("OD-116")),
        pytest.param("forced_close.start_before_close_ms", 900_000, marks=pytest.mark.req("OD-117")),
        pytest.param("forced_close.end_before_close_ms", 300_000, marks=pytest.mark.req("OD-118")),
        pytest.param("risk.max_position_pct", Decimal("0.5"), marks=pytest.mark.req("OD-119")),
        pytest.param("degradation.cancel_replace_rate_warn", Decimal(5), marks=pytest.mark.req("OD-120")),
        pytest.param("degradation.order_trade_ratio_warn", Decimal(10), marks=pytest.mark.req("OD-121")),
    ],
)
@pytest.mark.parametrize("profile", ["default", "odin_07"])
def test_has_the_defaults_of_the_seed(profile: str, name: str, value: object) -> None:
    section, _, setting = name.partition(".")
    settings = load_settings(arguments={"profile": profile}).settings
    assert getattr(getattr(settings, section), setting) == value


@pytest.mark.parametrize("profile", profile_names())
def test_every_profile_is_valid_and_survives_the_log(profile: str) -> None:
    settings = load_settings(arguments={"profile": profile}).settings
    assert settings.profile == profile
    assert Settings.from_log(settings.canonical_text()) == settings


def test_every_number_has_bounds() -> None:
    numbers = [name for name in leaves(Settings) if field(name).annotation in (int, Decimal)]
    assert len(numbers) > 50
    for name in numbers:
        kinds = {type(bound).__name__ for bound in field(name).metadata}
        assert kinds & {"Ge", "Gt"}, name
        assert kinds & {"Le", "Lt"}, name


def field(name: str) -> Any:
    return field_of(Settings, name)


@pytest.mark.parametrize("name", [name for name in leaves(Settings) if field(name).annotation is Decimal])
@pytest.mark.parametrize("text", NUMERIC_TEXTS)
def test_refuses_what_is_no_money(name: str, text: str) -> None:
    variable = "OMS__" + name.upper().replace(".", "__")
    problem = refused(environment={variable: text})
    assert problem.code in ("OMS-C013", "OMS-C014")
    assert variable in problem.render()
    assert problem.hint is not None
    assert name in problem.hint


def test_refuses_a_binary_float() -> None:
    problem = refused(arguments={"account": {"day_capital": 0.1}})
    assert "binary float" in problem.render()


def test_later_sources_win(tmp_path: Any) -> None:
    path = tmp_path / "oms.toml"
    path.write_text('profile = "odin_07"\n[entry]\nmax_cycles = 4\nvalid_for_ms = 4\npartial_rest_ms = 4\n')
    loaded = load_settings(
        path,
        {"OMS__ENTRY__VALID_FOR_MS": "5", "OMS__ENTRY__PARTIAL_REST_MS": "5", "UNRELATED": "x"},
        {"entry.partial_rest_ms": 6},
    )
    entry = loaded.settings.entry
    assert (entry.max_cycles, entry.valid_for_ms, entry.partial_rest_ms) == (4, 5, 6)
    assert entry.reprice_interval_ms == 5000
    assert str(loaded.origins["entry.max_cycles"]) == "oms.toml line 3"
    assert str(loaded.origins["entry.valid_for_ms"]) == "environment OMS__ENTRY__VALID_FOR_MS"
    assert str(loaded.origins["entry.partial_rest_ms"]) == "argument entry.partial_rest_ms"
    assert str(loaded.origins["entry.reprice_interval_ms"]).startswith("profile odin_07.toml line ")
    assert "gate.price_collar_pct" not in loaded.origins


def test_names_an_unknown_setting_with_the_likeliest_one(tmp_path: Any) -> None:
    path = tmp_path / "oms.toml"
    path.write_text("# mine\n[entry]\nrepricing_interval_ms = 5000\n")
    problem = refused(path=path)
    assert problem.code == "OMS-C012"
    assert problem.where == "oms.toml line 3"
    assert str(problem.hint).startswith("entry.reprice_interval_ms   (whole milliseconds; from 100")
    assert "default 5000" in str(problem.hint)


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        ({"max_cycles": 3}, ".max_cycles"),
        ({"entri": {"max_cycles": 3}}, "entry.max_cycles"),
        ({"entry": {"max_cycles ": 3}}, "entry.max_cycles"),
        ({"entri": {}}, "config show"),
        ({"odin": {"execution": {"repricing-interval": 1}}}, "odin.execution.repricing-interval-ms"),
        ({"entry": 5}, ""),
    ],
)
def test_refuses_unknown_names_of_any_shape(arguments: dict[str, Any], suggestion: str) -> None:
    problem = refused(arguments=arguments)
    assert problem.code == "OMS-C012"
    assert suggestion in str(problem.hint)


def test_refuses_an_unknown_variable() -> None:
    problem = refused(environment={"OMS__GATE__PRICE_COLAR_PCT": "0.1"})
    assert problem.code == "OMS-C016"
    assert str(problem.hint).startswith("OMS__GATE__PRICE_COLLAR_PCT")


def test_names_every_problem_at_once() -> None:
    problem = refused(arguments={"entry.max_cycles": 0, "gate.nonsense": 1, "profile": "default"})
    assert {problem.code, *(other.code for other in problem.others)} == {"OMS-C012", "OMS-C014"}
    assert problem.render().count("nothing was started") == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"forced_close": {"start_before_close_ms": 1, "end_before_close_ms": 2}},
        pytest.param({"targets": {"compact_below": 3, "full_above": 2}}, marks=pytest.mark.req("OD-046")),
        pytest.param(
            {"targets": {"compact": [{"trigger": "1R", "pct": Decimal("0.9")}]}},
            marks=pytest.mark.req("OD-047", "OD-046"),
        ),
        pytest.param(
            {"targets": {"compact": [{"trigger": "1R", "pct": "0.51"}, {"trigger": "2R", "pct": "0.5"}]}},
            marks=pytest.mark.req("OD-047", "OD-046"),
        ),
        {"targets": {"compact": [{"trigger": "RUNNER", "pct": "0.5"}, {"trigger": "1R", "pct": "0.5"}]}},
        {"targets": {"compact": [{"trigger": "1R", "pct": "0.5"}, {"trigger": "1R", "pct": "0.5"}]}},
        {"degradation": {"cancel_replace_rate_recover": 6}},
        {"gate": {"messages_per_second": 10}},
        {"market_orders": {"allowed_reasons": ["KILL_SWITCH", "KILL_SWITCH"]}},
        {"market_orders": {"allowed_reasons": ["BECAUSE"]}},
        {"account": {"day_zone": "Mars/Olympus"}},
        {"account": {"day_rolls_at": "00:00"}},
        {"profile": "no_such_profile"},
        {"risk": {"allow_short": "yes"}},
        {"entry": {"max_cycles": True}},
        {"entry": {"max_cycles": "3"}},
    ],
)
def test_refuses_contradictions(arguments: dict[str, Any]) -> None:
    assert refused(arguments=arguments).exit_code == 2


def test_taking_profit_at_market_needs_a_chimera_profile() -> None:
    problem = refused(arguments={"market_orders.allowed_reasons": ["TAKE_PROFIT_TRIGGER"]})
    assert problem.what.endswith("market_orders.allowed_reasons")
    Settings.model_validate(
        {"profile": "chimera_s6", "market_orders": {"allowed_reasons": ["TAKE_PROFIT_TRIGGER"]}}
    )


def test_version_zero_switches_a_policy_off() -> None:
    settings = load_settings(arguments={"policies.enabled": {"targets": 0, "stagnation": 2}}).settings
    enabled = settings.policies.enabled
    assert "targets" not in enabled
    assert (enabled["stagnation"], enabled["entry"]) == (2, 2)


def test_an_empty_table_of_policies_changes_nothing() -> None:
    assert load_settings(arguments={"policies": {"enabled": {}}}).settings == Settings()


def test_every_setting_is_read_by_something() -> None:
    """Three were offered, checked and explained, and did nothing."""
    read = {
        node.attr
        for path in python_files("oms", "replay")
        if not path.name.startswith("config")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute)
    }
    assert {name for name in leaves(Settings) if name.rpartition(".")[2] not in read} == {
        f"targets.{ladder}" for ladder in LADDERS
    }
    assert {one.value for one in SizeClass} == LADDERS


def test_settings_cannot_be_changed() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.entry.max_cycles = 9
    with pytest.raises(TypeError):
        settings.policies.enabled["entry"] = 2  # type: ignore[index]


def test_equal_settings_give_equal_bytes() -> None:
    one = load_settings(arguments={"account.day_capital": "1E+5", "risk.min_rr": "1.000"}).settings
    assert one.canonical_text() == Settings().canonical_text()
    assert one.sha256 == Settings().sha256
    assert '"day_capital":"100000"' in one.canonical_text()
    other = load_settings(arguments={"risk.min_rr": "1.001"}).settings
    assert other.sha256 != one.sha256


def test_settings_can_be_copied_and_sent_to_another_process() -> None:
    settings = load_settings(arguments={"entry.max_cycles": 2}).settings
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert copy.deepcopy(settings) == settings


def test_an_exit_goes_to_market_only_where_the_list_allows() -> None:
    problem = refused(arguments={"exit.on_exhausted": "market"})
    assert problem.what.endswith("exit.on_exhausted")
    assert (
        problem.why
        == "exit.on_exhausted: market needs EXIT_EXHAUSTED in market_orders.allowed_reasons; nothing was started"
    )
    allowed = {"allowed_reasons": ["EXIT_EXHAUSTED"]}
    Settings.model_validate({"exit": {"on_exhausted": "market"}, "market_orders": allowed})


def test_a_log_may_name_a_setting_that_nothing_has_read() -> None:
    body = Settings().body()
    text = json.dumps({**body, "account": {**body["account"], "day_rolls_at": "00:00"}})
    assert Settings.from_log(text) == Settings()


def test_a_log_from_before_a_setting_does_as_it_did() -> None:
    body = Settings().body()
    del body["targets"]["conservative_share"], body["protection"]["books_every_ms"]
    found = Settings.from_log(json.dumps(body))
    assert (found.targets.conservative_share, found.protection.books_every_ms) == (1, 0)


def test_a_log_that_lacks_a_setting_means_off(monkeypatch: pytest.MonkeyPatch) -> None:
    text = Settings().canonical_text().replace('"confirm_ms":250,', "")
    with pytest.raises(ConfigError, match="OMS-C021"):
        Settings.from_log(text)
    monkeypatch.setattr(config, "OFF", {"guard.confirm_ms": 0})
    assert Settings.from_log(text).guard.confirm_ms == 0


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"entry":1.5}', '{"profile":"a","profile":"b"}', '{"later_section":{}}']
)
def test_refuses_a_text_that_is_no_configuration(text: str) -> None:
    with pytest.raises(ConfigError):
        Settings.from_log(text)


def test_refuses_a_log_of_a_newer_program() -> None:
    text = Settings().canonical_text().replace('{"account":', '{"added_later":{"x":1},"account":', 1)
    with pytest.raises(ConfigError, match="added_later"):
        Settings.from_log(text)
