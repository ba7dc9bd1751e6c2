"""The building plan as a test: who may import whom, and what the pure part may not touch."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from importlinter.application.ports.reporting import Report
from importlinter.application.use_cases import create_report, read_user_options
from importlinter.application.user_options import UserOptions
from importlinter.configuration import configure
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.independence import IndependenceContract
from importlinter.contracts.layers import LayersContract
from importlinter.domain.contract import registry

from tests.checkout import PACKAGES, ROOT, module_of, name_of, nothing, python_files, tree_of

PURE = (
    "oms.arbitration",
    "oms.book",
    "oms.commands",
    "oms.events",
    "oms.execution",
    "oms.fills",
    "oms.formulas",
    "oms.policies",
    "oms.sizing",
    "oms.state",
    "oms.step",
    "oms.stops",
    "oms.values",
)
CLOCKS = {"now", "utcnow", "today"}
IMPURE_CALLS = {"open", "input", "print", "hash", "id", "breakpoint", "exec", "eval", "float", "__import__"}
CONTRACT_KINDS = (
    (LayersContract, "layers"),
    (ForbiddenContract, "forbidden"),
    (IndependenceContract, "independence"),
)
OWNER_OF_TRANSITIONS = "oms/state/order.py"


def exists(module: str) -> bool:
    """Whether a module is there; rooms are made when they have content."""
    place = ROOT.joinpath(*module.removesuffix(".*").split("."))
    if module.endswith(".*"):
        return any(path.stem != "__init__" for path in place.glob("*.py"))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def present(options: dict[str, Any]) -> dict[str, Any] | None:
    """The contract without modules that do not exist yet, or None if nothing is left of it."""
    kept = dict(options)
    for name in ("source_modules", "modules", "root_packages"):
        if name in kept:
            kept[name] = [module for module in kept[name] if exists(module)]
            if not kept[name]:
                return None
    return kept


def check_contracts() -> Report:
    """Run every contract of pyproject.toml that has something to say about this checkout."""
    configure()
    for kind, name in CONTRACT_KINDS:
        registry.register(kind, name)
    options = read_user_options(config_filename=str(ROOT / "pyproject.toml"))
    session = present(options.session_options)
    assert session is not None
    contracts = [kept for contract in options.contracts_options if (kept := present(contract))]
    return create_report(UserOptions(session_options=session, contracts_options=contracts))


def broken(report: Report) -> Iterator[str]:
    for contract, check in report.get_contracts_and_checks():
        if not check.kept:
            yield f"{contract.name}: {check.metadata}"


@pytest.mark.req("OD-004")
def test_imports_keep_the_contracts() -> None:
    report = check_contracts()
    assert not report.could_not_run, report.invalid_contract_options
    nothing(list(broken(report)))


def test_every_room_has_its_place_in_the_layers() -> None:
    configure()
    contracts = read_user_options(config_filename=str(ROOT / "pyproject.toml")).contracts_options
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    placed = {name.strip("() ") for layer in layers for name in layer.split(":")}
    rooms = {".".join(module_of(path).split(".")[:2]) for path in python_files("oms")}
    nothing(sorted(rooms - placed - {"oms", "oms.__main__"}))


def pure_files() -> list[Path]:
    """The files of the pure part."""
    return [
        path
        for path in python_files("oms")
        if any(f"{module_of(path)}.".startswith(f"{module}.") for module in PURE)
    ]


def findings(kinds: tuple[type[ast.AST], ...], is_wrong: Any) -> list[str]:
    return [
        f"{name_of(path)}:{node.lineno} {ast.unparse(node)[:80]}"
        for path in pure_files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, kinds) and is_wrong(node)
    ]


@pytest.mark.req("OM-050", "C-24")
def test_the_pure_part_reads_no_clock() -> None:
    nothing(findings((ast.Attribute,), lambda node: node.attr in CLOCKS and reads_clock(node)))


def reads_clock(node: ast.Attribute) -> bool:
    """`datetime.now`, `date.today`; not `state.now`, which is the last input's time."""
    owner = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
    return owner in ("datetime", "date", "dt", "time")


def test_the_pure_part_calls_nothing_impure() -> None:
    def is_impure(node: ast.Call) -> bool:
        return isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS

    nothing(findings((ast.Call,), is_impure))


@pytest.mark.req("C-01")
def test_the_pure_part_holds_no_float() -> None:
    nothing(findings((ast.Constant,), lambda node: isinstance(node.value, (float, complex))))


def test_the_pure_part_iterates_no_set() -> None:
    def is_set(node: ast.For | ast.comprehension) -> bool:
        made = isinstance(node.iter, ast.Call) and isinstance(node.iter.func, ast.Name)
        called = node.iter.func.id in ("set", "frozenset") if made else False
        return isinstance(node.iter, (ast.Set, ast.SetComp)) or called

    loops = findings((ast.For,), is_set)
    comprehensions = [
        f"{name_of(path)} {ast.unparse(node.iter)}"
        for path in pure_files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.comprehension) and is_set(node)
    ]
    nothing(loops + comprehensions)


def test_transitions_has_one_owner() -> None:
    found = {
        name_of(path)
        for path in python_files(*PACKAGES)
        for node in ast.walk(tree_of(path))
        if (isinstance(node, ast.Import) and any(a.name.split(".")[0] == "transitions" for a in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "transitions")
    }
    assert found <= {OWNER_OF_TRANSITIONS}
