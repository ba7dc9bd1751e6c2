import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import localcontext
from pathlib import Path

import pytest

from eventlog.chain import genesis
from eventlog.envelope import Head
from oms.book import Book
from oms.cli.output import Options, Output
from oms.events.broker import OrderFilled
from oms.shell.record import record
from oms.values import CONTEXT, Role
from tests.benchmarks import __main__ as program
from tests.benchmarks import core, database, scenes
from tests.benchmarks.measuring import in_turns, medians, percentile
from tests.benchmarks.probe import drop_open_orders, open_orders
from tests.benchmarks.rows import COLUMNS, QUICK, Row, Scale, Target, cells, summary

FIELDS = {"name", "value", "unit", "reference", "ratio", "target", "holds"}
FAST = Target(must=2.0, aim=1.5, of="ratio")
SOON = Target(must=100, aim=250, better="higher")


def row(value: float | None, target: Target, reference: float | None = None) -> Row:
    return Row(name="a figure", value=value, unit="us", target=target, reference=reference)


@pytest.mark.parametrize(
    ("value", "reference", "target", "holds", "aimed"),
    [
        (3.0, 2.0, FAST, True, True),
        (4.0, 2.0, FAST, True, False),
        (4.1, 2.0, FAST, False, False),
        (99.0, None, SOON, False, False),
        (100.0, None, SOON, True, False),
        (250.0, None, SOON, True, True),
        (None, None, SOON, False, False),
        (3.0, None, FAST, False, False),
    ],
)
def test_compares_value_or_ratio_with_the_limits(
    value: float | None, reference: float | None, target: Target, holds: bool, aimed: bool
) -> None:
    found = row(value, target, reference)
    assert (found.holds, found.is_aimed) == (holds, aimed)


def test_says_unit_and_direction_in_every_row() -> None:
    found = dict(zip(COLUMNS, cells(row(4.1, FAST, 2.0)), strict=True))
    assert found["unit"] == "us"
    assert found["good"] == "lower"
    assert found["must"] == "<= 2x"
    assert found["ratio"] == "2.05"
    assert found["holds"] == "NO"


def test_the_report_has_the_published_shape() -> None:
    report = summary([row(3.0, FAST, 2.0), row(1.0, SOON)], {"cpus": 2})
    assert report["rows"][0].keys() >= FIELDS
    assert report["rows"][0]["ratio"] == 1.5
    assert report["rows"][0]["target"] == 2.0
    assert report["missed"] == ["a figure"]
    json.dumps(report, allow_nan=False)


def test_percentiles_are_values_that_were_seen() -> None:
    values = list(range(1, 101))
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile([7.0], 0.99) == 7.0
    assert percentile([3.0, 1.0, 2.0], 1.0) == 3.0


def test_medians_are_taken_place_by_place() -> None:
    assert medians([[1, 9], [3, 7], [2, 8]]) == [2, 8]


def test_takes_turns_and_changes_who_begins() -> None:
    order: list[str] = []
    in_turns(lambda: order.append("a"), lambda: order.append("b"), 3)
    assert order == ["a", "b", "b", "a", "a", "b"]


def test_open_positions_have_a_whole_bracket() -> None:
    book, names = scenes.many(2)
    orders = book.pipelines[names[1]].orders.values()
    live = [order.role for order in orders if order.is_live]
    assert live.count(Role.STOP) == 1
    assert Role.TARGET in live
    assert open_orders(book) == 2 * len(live)
    drop_open_orders(book)
    assert open_orders(book) == 0
    assert all(len(pipeline.orders) == 1 for pipeline in book.pipelines.values())


def test_the_durable_step_has_the_published_size() -> None:
    result, stamped = next(database._bracket_steps())
    assert isinstance(stamped.event, OrderFilled)
    assert [one.event.KIND for one in result.events] == ["I", "D", "D", "D"]
    assert {command.seq for command in result.commands} < {one.seq for one in result.events}
    assert len(result.commands) == 2


def test_a_copied_line_has_every_column() -> None:
    book = Book()
    batch = [record(result, stamped) for stamped, result in scenes.opening(book)]
    head = Head(scenes.POSITIONS_ACCOUNT, 0, genesis(scenes.POSITIONS_ACCOUNT), 1)
    lines = database.copy_block(head, batch).decode().splitlines()
    assert {line.count("\t") for line in lines} == {len(database.WIRE_COLUMNS) - 1}
    assert "2026-03-09 13:30:00.000000+00" in lines[0]


def test_measures_the_positions_of_a_tiny_scale() -> None:
    with localcontext(CONTEXT):
        found = list(core.position_rows(core.STEPS_PER_BLOCK, 1))
    assert [one.target.of for one in found] == ["ratio", "ratio"]
    assert all(one.value and one.reference for one in found)


@dataclass
class Told:
    """A group of two rows, one of which misses its target."""

    good: bool = False

    def __call__(self, _scale: Scale) -> Iterator[Row]:
        yield row(3.0, FAST, 2.0)
        yield row(300.0 if self.good else 1.0, SOON)


@pytest.mark.parametrize(
    ("words", "good", "code"), [([], False, 1), (["--no-fail"], False, 0), ([], True, 0)]
)
def test_a_missed_target_is_the_exit_code(
    words: list[str],
    good: bool,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(program, "groups", lambda: (Told(good),))
    assert program.main([*words, "--quick", "--json"]) == code
    out = capsys.readouterr().out
    report = json.loads(out.splitlines()[-1])
    assert report["ok"] is good
    assert len(report["rows"]) == 2
    program.main([*words, "--quick", f"--json={tmp_path / 'rows'}"])
    assert json.loads((tmp_path / "rows").read_text())["rows"] == report["rows"]


def test_tells_each_row_when_it_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    program.measured([Told()], QUICK, Output(Options()))
    assert capsys.readouterr().out.count("a figure") == 2


def test_refuses_an_unknown_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        program.main(["--quik"])
    assert left.value.code == 2
    assert "--quik" in capsys.readouterr().err
