"""The files of this checkout, for the tests that look at all of them."""

import ast
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("oms", "eventlog", "replay", "migrations")
LIBRARY = ("oms", "eventlog", "replay")
IGNORED = {"__pycache__", "build", "dist"}
TEXT = {
    ".py",
    ".toml",
    ".md",
    ".sql",
    ".txt",
    ".yml",
    ".yaml",
    ".csv",
    ".json",
    ".html",
    ".js",
    ".css",
    ".cfg",
    "",
}


@cache
def all_files() -> tuple[Path, ...]:
    """Every file that belongs to the project, sorted; caches, environments and version control left out."""
    found = []
    for folder, names, files in os.walk(ROOT):
        here = Path(folder)
        hidden = {name for name in names if name.startswith(".") and name not in (".ci", ".github")}
        names[:] = sorted(
            set(names) - hidden - IGNORED - {name for name in names if name.endswith(".egg-info")}
        )
        # In a second working tree of the same repository `.git` is a file that says where it is.
        found += [here / name for name in files if not name.endswith(".pyc") and name != ".git"]
    return tuple(sorted(found))


def text_files() -> Iterator[Path]:
    """The files that people write and read."""
    return (path for path in all_files() if path.suffix in TEXT and path.name != "py.typed")


def python_files(*packages: str) -> list[Path]:
    """The Python files below the named top-level folders, sorted."""
    return [
        path for path in all_files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in packages
    ]


def name_of(path: Path) -> str:
    """The path as a person writes it."""
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    """The dotted name under which a Python file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def shared(*names: str) -> list[Path]:
    """Files beside the checkout, in `shared`. Without one the test is skipped, but not where everything has to run."""
    paths = [ROOT.parent / "shared" / name for name in names]
    missing = [path for path in paths if not path.exists()]
    if missing:
        message = f"no shared data at {missing[0]}"
        assert os.environ.get("CI") != "true", message
        pytest.skip(message)
    return paths


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a Python file. Raises SyntaxError, which names file and line."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=name_of(path))


def nothing(found: list[str]) -> None:
    """Fail with every finding on its own line."""
    assert not found, "\n" + "\n".join(found)
