"""The command that changes the rules: what it changes, and what it says of it."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.mutation.__main__ import FOLDERS, REASONS, read_reasons, report
from tests.mutation.mutants import Mutant, files, mutants, mutated
from tests.mutation.scope import mirror_of

FILES = files(*FOLDERS)


@pytest.mark.parametrize("file", FILES)
def test_every_change_of_a_rule_is_one_change(file: str) -> None:
    source = ast.unparse(ast.parse((ROOT / file).read_text(encoding="utf-8"))).splitlines()
    for mutant in mutants(file):
        changed = ast.unparse(mutated(file, mutant.index)).splitlines()
        different = [number for number, line in enumerate(source) if line != changed[number]]
        assert len(source) == len(changed)
        assert len(different) == 1, mutant


@pytest.mark.parametrize("file", FILES)
def test_every_rule_has_tests_to_notice_a_change(file: str) -> None:
    assert all((ROOT / one).is_file() for one in mirror_of(file))


def test_comparisons_move_by_their_boundary_and_numbers_by_one() -> None:
    told = Counter(mutant.what for mutant in mutants("oms/execution/degradation.py"))
    assert told["found.sent >= -> >"] == 2
    assert told["found.sent > -> >="] == 1
    assert told["4 -> 5 at 50"] == 1


def test_types_versions_and_the_making_of_structs_are_left_alone() -> None:
    lines = [mutant.text for mutant in mutants("oms/policies/degradation.py")]
    assert not [text for text in lines if text.startswith(("VERSION", "class"))]
    assert [text for text in lines if text.startswith("PRIORITY")]


def test_reasons_are_read_or_refused_with_their_line(tmp_path: Path) -> None:
    assert all(read_reasons(REASONS).values())
    path = tmp_path / "reasons.txt"
    path.write_text("# why\n\na.py | x < y | x < -> <= | no reason at all\na.py | x\n")
    with pytest.raises(ValueError, match=r"reasons.txt line 4"):
        read_reasons(path)


@pytest.mark.parametrize(("alive", "code"), [(1, 0), (2, 1)])
def test_too_many_survivors_fail(
    alive: int, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [Mutant("a.py", number, number, "x < y", f"{number}") for number in range(10)]
    assert report(wanted, wanted[:alive], {("a.py", "x < y", "0"): "equal"}, tmp_path / "out.json") == code
    told = capsys.readouterr().out
    assert (" below 90%: a.py" in told) is bool(code)
    assert f"{10 - alive} of 10 noticed" in told
    assert f"unexplained {alive - 1}" in told
    assert '"changes": 10' in (tmp_path / "out.json").read_text()
