"""`oms config show --origin`: every setting, its value in force, and who said it."""

import json
from pathlib import Path
from typing import Any

import pytest

from oms.cli import main

FILE = """profile = "odin_07"
[odin.execution]
repricing-interval-ms = 4000
[odin.risk]
max-position-pct = 0.25
"""


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    path = tmp_path / "mine.toml"
    path.write_text(FILE)
    monkeypatch.setenv("OMS__STOP__FALLBACK_MS", "6000")

    def show(*words: str) -> str:
        assert main([*words[:-1], "--config", str(path), "config", "show", words[-1]]) == 0
        return capsys.readouterr().out

    return show


def rows(text: str) -> dict[str, tuple[str, str]]:
    lines = [line.split(maxsplit=2) for line in text.splitlines()[1:]]
    return {line[0]: (line[1], line[2]) for line in lines if len(line) == 3}


@pytest.mark.req("OD-113", "OD-119")
def test_a_seed_name_sets_what_it_stands_for_and_says_where(shown: Any) -> None:
    told = rows(shown("--origin"))
    assert told["entry.reprice_interval_ms"] == ("4000", "mine.toml line 3")
    assert told["exit.reprice_interval_ms"] == ("4000", "mine.toml line 3")
    assert told["risk.max_position_pct"] == ("0.25", "mine.toml line 5")


@pytest.mark.req("OD-114", "OD-115", "OD-116")
def test_tells_variable_profile_and_default_apart(shown: Any) -> None:
    told = rows(shown("--origin"))
    assert told["stop.fallback_ms"] == ("6000", "environment OMS__STOP__FALLBACK_MS")
    assert told["stop.limit_offset_pct"] == ("0.001", "profile odin_07.toml line 18")
    assert told["entry.max_cycles"][1] == "profile odin_07.toml line 17"
    assert told["trail.atr_length"] == ("14", "default")


def test_answers_a_program(shown: Any) -> None:
    found = json.loads(shown("--json", "--origin").splitlines()[-1])
    assert found["origins"]["exit.reprice_interval_ms"] == "mine.toml line 3"
    assert found["settings"]["exit"]["reprice_interval_ms"] == 4000
    assert found["settings"]["risk"]["max_position_pct"] == "0.25"


def test_shows_only_what_was_changed(shown: Any) -> None:
    text = shown("--changed")
    assert "stop.fallback_ms" in text
    assert "trail.atr_length" not in text
