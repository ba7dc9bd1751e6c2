"""One small change of one source file: a comparison moved by its boundary or turned round, a number plus one, a flag
turned round. Every such change of a module, in the order of its text."""

import ast
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

from tests.checkout import ROOT

_OTHER: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_WORDS = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
_UNCHANGED = ("VERSION",)
"""A version is the name of a rule and decides nothing."""


class Mutant(NamedTuple):
    """`index` counts the changes of a file from 0; `text` is the line it is made in, `what` the change."""

    file: str
    index: int
    line: int
    text: str
    what: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What a person names it by: it survives when lines move."""
        return self.file, self.text, self.what


def mutants(file: str) -> list[Mutant]:
    """All changes of a file of this checkout, by its path from the root."""
    source = (ROOT / file).read_text(encoding="utf-8")
    lines = source.splitlines()
    found = []
    for index, (node, place) in enumerate(_places(ast.parse(source))):
        what = _said(node, place)
        found.append(Mutant(file, index, node.lineno, lines[node.lineno - 1].strip(), what))
    return found


def mutated(file: str, index: int) -> ast.Module:
    """The module with one change made."""
    tree = deepcopy(ast.parse((ROOT / file).read_text(encoding="utf-8")))
    node, place = list(_places(tree))[index]
    if isinstance(node, ast.Compare):
        node.ops[place] = _OTHER[type(node.ops[place])]()
    else:
        node.value = _another(node.value)
    return ast.fix_missing_locations(tree)


def files(*folders: str) -> list[str]:
    """The modules below folders, or the files themselves, sorted, from the root."""
    found: set[Path] = set()
    for folder in folders:
        place = ROOT / folder
        found |= set(place.glob("*.py")) if place.is_dir() else {place}
    return sorted(str(path.relative_to(ROOT)) for path in found)


def _places(tree: ast.Module) -> Iterator[tuple[ast.Compare | ast.Constant, int]]:
    """(node, which operator of a comparison) of everything that can be changed, in the order of the text."""
    found: list[tuple[ast.Compare | ast.Constant, int]] = []
    skipped = {id(node) for statement in tree.body if _is_fixed(statement) for node in ast.walk(statement)}
    skipped |= {id(node) for one in _declarations(tree) for node in ast.walk(one)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Compare):
            found += [(node, place) for place in range(len(node.ops))]
        elif isinstance(node, ast.Constant) and type(node.value) in (int, bool):
            found.append((node, 0))
    return iter(sorted(found, key=lambda one: (one[0].lineno, one[0].col_offset, one[1])))


def _is_fixed(statement: ast.stmt) -> bool:
    target = statement.target if isinstance(statement, ast.AnnAssign) else None
    return isinstance(target, ast.Name) and target.id in _UNCHANGED


def _declarations(tree: ast.Module) -> Iterator[ast.AST]:
    """Types, and how a struct is made: no behaviour."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from node.keywords
        elif isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            yield node.annotation
        elif isinstance(node, ast.FunctionDef) and node.returns is not None:
            yield node.returns


def _said(node: ast.Compare | ast.Constant, place: int) -> str:
    if isinstance(node, ast.Constant):
        return f"{node.value} -> {_another(node.value)} at {node.col_offset}"
    kind = type(node.ops[place])
    left = node.left if place == 0 else node.comparators[place - 1]
    return f"{ast.unparse(left)} {_WORDS[kind]} -> {_WORDS[_OTHER[kind]]}"


def _another(value: object) -> bool | int:
    assert isinstance(value, int)
    return not value if isinstance(value, bool) else value + 1
