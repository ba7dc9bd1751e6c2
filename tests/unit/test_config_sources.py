"""Reading settings: files with their line numbers, variables, and the seed's own names."""

import tomllib
from datetime import time
from decimal import Decimal
from operator import attrgetter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms.config import load_settings
from oms.config_sources import ALIASES, before_close, line_numbers
from oms.errors import ConfigError

SEED_NAMES = """
[odin.execution]
repricing-interval-ms = 4000
max-repricing-cycles = 2
stop-limit-offset-pct = 0.002
stop-market-fallback-ms = 4000
forced-close-start = "15:40 ET"
forced-close-end = 15:50:00
[odin.risk]
max-position-pct = 0.25
cancel-replace-rate-warn = 4.0
order-trade-ratio-warn = 9.0
"""

TRICKY = '''# [no.table] = 1
profile = "default" # x = 1
[gate] # [other]
"price_collar_pct" = 0.1
text = """
inside = 3
[inside]
"""
list = [
  "]", 'a = 1',
  { inside = "}" },
]
'after' = 2
[a . "b.c"]
x.y = 1
[[rungs]]
z = 1
[[rungs]]
z = 2
'''


def test_finds_the_line_of_every_key() -> None:
    tomllib.loads(TRICKY)
    assert line_numbers(TRICKY) == {
        "profile": 2,
        "gate": 3,
        "gate.price_collar_pct": 4,
        "gate.text": 5,
        "gate.list": 9,
        "gate.after": 13,
        "a.b.c": 14,
        "a.b.c.x.y": 15,
        "rungs": 16,
        "rungs.z": 17,
    }


@given(st.text(max_size=60))
def test_looking_for_lines_never_fails(text: str) -> None:
    assert all(1 <= line <= text.count("\n") + 1 for line in line_numbers(text).values())


def write(folder: Path, text: str) -> Path:
    path = folder / "oms.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_says_where_a_file_is_not_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as problem:
        load_settings(write(tmp_path, "[entry]\nmax_cycles = = 3\n"))
    assert problem.value.code == "OMS-C002"
    assert problem.value.where == "oms.toml line 2 column 14"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[entry\n", b"a = 1\na = 2\n"])
def test_refuses_an_unreadable_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "oms.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"OMS-C00[12]"):
        load_settings(path)


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="OMS-C001"):
        load_settings(tmp_path / "missing.toml")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("entry.reprice_interval_ms", 4000, marks=pytest.mark.req("OD-113")),
        pytest.param("exit.reprice_interval_ms", 4000, marks=pytest.mark.req("OD-113")),
        pytest.param("entry.max_cycles", 2, marks=pytest.mark.req("OD-114")),
        pytest.param("exit.max_cycles", 2, marks=pytest.mark.req("OD-114")),
        pytest.param("stop.limit_offset_pct", Decimal("0.002"), marks=pytest.mark.req("OD-115")),
        pytest.param("stop.fallback_ms", 4000, marks=pytest.mark.req("OD-116")),
        pytest.param("forced_close.start_before_close_ms", 1_200_000, marks=pytest.mark.req("OD-117")),
        pytest.param("forced_close.end_before_close_ms", 600_000, marks=pytest.mark.req("OD-118")),
        pytest.param("risk.max_position_pct", Decimal("0.25"), marks=pytest.mark.req("OD-119")),
        pytest.param("degradation.cancel_replace_rate_warn", Decimal(4), marks=pytest.mark.req("OD-120")),
        pytest.param("degradation.order_trade_ratio_warn", Decimal(9), marks=pytest.mark.req("OD-121")),
    ],
)
def test_accepts_the_names_of_the_seed(name: str, value: object, tmp_path: Path) -> None:
    loaded = load_settings(write(tmp_path, SEED_NAMES))
    assert attrgetter(name)(loaded.settings) == value
    assert len(loaded.origins) == len({target for alias in ALIASES.values() for target in alias.targets})


@pytest.mark.parametrize("name", ALIASES)
def test_accepts_the_names_of_the_seed_as_variables(name: str) -> None:
    variable = "OMS__" + name.upper().replace(".", "__").replace("-", "_")
    value = "15:50 ET" if "forced" in name else "4" if "cycles" in name else "1000" if "ms" in name else "1"
    if name == "odin.execution.stop-limit-offset-pct":
        value = "0.05"
    if name.endswith(("rate-warn", "ratio-warn")):
        value = "20"
    assert load_settings(environment={variable: value}).origins


OWN_LADDERS = """
[targets]
compact_below = 4_000.50
full_above = 20_000
conservative_share = 0.4
compact = [{ trigger = "1R", pct = 1 }]
standard = [{ trigger = "2R", pct = 0.125 }, { trigger = "RUNNER", pct = 0.875 }]
full = [
    { trigger = "1R", pct = 0.2 },
    { trigger = "KEY_LEVEL", pct = 0.2 },
    { trigger = "2R", pct = 0.2 },
    { trigger = "3R", pct = 0.2 },
    { trigger = "RUNNER", pct = 0.2 },
]
"""


@pytest.mark.req("OD-046")
def test_a_file_has_its_own_size_thresholds_and_ladders(tmp_path: Path) -> None:
    """From one rung up to five, exactly as they stand there."""
    targets = load_settings(write(tmp_path, OWN_LADDERS)).settings.targets
    assert (targets.compact_below, targets.full_above) == (Decimal("4000.50"), Decimal(20_000))
    assert targets.conservative_share == Decimal("0.4")
    ladders = {
        name: [(rung.trigger, rung.pct) for rung in getattr(targets, name)]
        for name in ("compact", "standard", "full")
    }
    fifth = Decimal("0.2")
    assert ladders == {
        "compact": [("1R", Decimal(1))],
        "standard": [("2R", Decimal("0.125")), ("RUNNER", Decimal("0.875"))],
        "full": [(name, fifth) for name in ("1R", "KEY_LEVEL", "2R", "3R", "RUNNER")],
    }


@pytest.mark.req("OD-046")
@pytest.mark.parametrize("name", ["compact_below", "full_above"])
def test_a_variable_sets_a_size_threshold(name: str) -> None:
    loaded = load_settings(environment={f"OMS__TARGETS__{name.upper()}": "7500"})
    assert getattr(loaded.settings.targets, name) == 7500


def test_refuses_two_names_of_one_setting(tmp_path: Path) -> None:
    path = write(tmp_path, "[entry]\nmax_cycles = 2\n[odin.execution]\nmax-repricing-cycles = 2\n")
    with pytest.raises(ConfigError, match="OMS-C015"):
        load_settings(path)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("15:45 ET", 900_000), ("15:55", 300_000), ("16:00 ET", 0), ("09:30 ET", 23_400_000)],
)
def test_turns_a_clock_time_into_time_before_the_close(text: str, milliseconds: int) -> None:
    assert before_close(text) == milliseconds


@pytest.mark.parametrize(
    "value", ["16:01 ET", "15:60 ET", "25:00", "15:45 PT", "", 5, True, "3:45 ET", time(23)]
)
def test_refuses_what_is_no_clock_time_before_the_close(value: object) -> None:
    with pytest.raises(ValueError, match="clock time"):
        before_close(value)
