"""Style as a test: what a reviewer would otherwise have to say again and again."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oms import PUBLIC
from oms.cli import COMMANDS
from tests.checkout import (
    LIBRARY,
    PACKAGES,
    ROOT,
    all_files,
    module_of,
    name_of,
    nothing,
    python_files,
    text_files,
    tree_of,
)

LONGEST_FUNCTION = 70
LONGEST_FILE = 400
FORBIDDEN_SUFFIXES = ("Manager", "Engine", "Service", "Handler", "Processor")
TOP_LEVEL = {
    "pyproject.toml", "README.md", "oms", "eventlog", "migrations", "replay", "tests", "docker-compose.yml",
    "requirements.txt", "CHANGELOG.md", "examples",
}  # fmt: skip
# The patterns are put together here so that this file does not find itself.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")
MACHINE_PATH = re.compile(r"(?<![\w.<>])/(?:ro" + r"ot|ho" + r"me|Us" + r"ers|wo" + r"rk)/[\w.]")
INDEX_ADDRESS = re.compile("index" + r"[-_]url|find" + r"[-_]links|files\.python" + r"hosted|registry\.npm")
ADDRESS = re.compile(r"\w+://|\bresolved\b|git\+|@\s*file:")
OTHER_LOCKS = {"uv.lock", "poetry.lock", "pylock.toml", "Pipfile.lock", "package-lock.json", "yarn.lock"}


def run(*command: str) -> None:
    """Run a tool of this environment; its whole output is the failure."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def test_ruff_finds_nothing() -> None:
    run("ruff", "check", "--output-format", "concise", ".")


def test_ruff_would_format_nothing() -> None:
    run("ruff", "format", "--check", ".")


def test_mypy_finds_nothing() -> None:
    run("mypy", *(package for package in PACKAGES if python_files(package)))


def test_no_function_is_too_long() -> None:
    found = [
        f"{name_of(path)}:{node.lineno} {node.name} has {length} lines"
        for path in python_files(*PACKAGES, "tests", "examples")
        for node in ast.walk(tree_of(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (length := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    ]
    nothing(found)


def test_no_file_is_too_long() -> None:
    lengths = {
        name_of(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in python_files(*PACKAGES, "tests", "examples")
    }
    nothing([f"{name} has {length} lines" for name, length in lengths.items() if length > LONGEST_FILE])


def test_no_class_has_a_name_that_says_nothing() -> None:
    found = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in python_files(*LIBRARY)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef) and node.name.endswith(FORBIDDEN_SUFFIXES)
    ]
    nothing(found)


def test_every_module_says_what_it_is_for() -> None:
    found = [
        name_of(path)
        for path in python_files(*PACKAGES)
        if tree_of(path).body and ast.get_docstring(tree_of(path)) is None
    ]
    nothing(found)


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(UNFINISHED, id="unfinished-work"),
        pytest.param(MACHINE_PATH, id="a-path-of-one-machine"),
        pytest.param(INDEX_ADDRESS, id="an-address-of-a-package-index"),
    ],
)
def test_no_text_holds(pattern: re.Pattern[str]) -> None:
    found = [
        f"{name_of(path)}:{number} {line.strip()[:80]}"
        for path in text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]
    nothing(found)


@pytest.mark.parametrize("name", ["requirements.txt", "oms/requirements-archive.txt"])
def test_the_lock_holds_names_versions_and_hashes_only(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="ascii").splitlines()
    nothing([line for line in lines if ADDRESS.search(line)])
    requirement = r"[a-z0-9][a-z0-9.-]*==[\w.]+( ; [^\\]+)? \\"
    allowed = re.compile(rf"({requirement}|    --hash=sha256:[0-9a-f]{{64}}( \\)?|    # .*|#.*|)")
    nothing([line for line in lines if not allowed.fullmatch(line)])


def test_there_is_one_lock() -> None:
    nothing([name_of(path) for path in all_files() if path.name in OTHER_LOCKS])


def test_the_top_level_is_fixed() -> None:
    present = {path.relative_to(ROOT).parts[0] for path in all_files()}
    nothing(sorted({name for name in present if not name.startswith(".")} - TOP_LEVEL))


def test_every_folder_of_code_is_a_package() -> None:
    folders = {path.parent for path in python_files(*PACKAGES)}
    nothing([name_of(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()])


def test_no_package_is_empty() -> None:
    found = [
        name_of(path)
        for path in python_files(*PACKAGES)
        if path.name == "__init__.py"
        and len(list(path.parent.iterdir())) - (path.parent / "__pycache__").exists() < 2
    ]
    nothing(found)


def imported_names(path: Path) -> Iterator[str]:
    """Every module a file might import: `from a import b` may mean a.b or a."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_module_is_unused() -> None:
    used = {row.module for row in COMMANDS.values()} | set(PUBLIC.values())
    for path in python_files(*PACKAGES, "tests", "examples"):
        used.update(imported_names(path))
    modules = [
        module_of(path) for path in python_files(*LIBRARY) if path.stem not in ("__init__", "__main__")
    ]
    nothing([name for name in modules if name not in used])
