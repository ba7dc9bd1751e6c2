"""One mutant, one process: the module is loaded in its changed form, then its tests run until one fails.

The process is forked from one that has loaded the libraries already, but nothing of this project's rules.
"""

import ast
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

from tests.checkout import ROOT
from tests.mutation.mutants import Mutant, mutated
from tests.mutation.scope import mirror_of

LONGEST_SECONDS = 120
"""A change may make a loop endless."""
PASSED = 0


class _Changed(MetaPathFinder, Loader):
    """Loads one module from a changed tree; for all others Python's own way is taken."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self.name, self.path, self.tree = name, path, tree

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        own = PathFinder.find_spec(fullname, path, target)
        places = own.submodule_search_locations if own is not None else None
        return spec_from_file_location(fullname, self.path, loader=self, submodule_search_locations=places)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.tree, str(self.path), "exec"), module.__dict__)


def warm() -> None:
    """Load what every trial needs and no mutant touches."""
    import hypothesis
    import msgspec
    import psycopg
    import pydantic
    import pytest
    import sqlalchemy
    import transitions
    import xdist

    assert all((hypothesis, msgspec, psycopg, pydantic, pytest, sqlalchemy, transitions, xdist))


def start(mutant: Mutant) -> int:
    """Fork a trial and return its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        signal.alarm(LONGEST_SECONDS)
        os._exit(_run(mutant))
    finally:
        os._exit(70)


def _run(mutant: Mutant) -> int:
    import pytest

    name = mutant.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    if mutant.index >= 0:
        sys.meta_path.insert(0, _Changed(name, ROOT / mutant.file, mutated(mutant.file, mutant.index)))
    options = ["-x", "--assert=plain", "-p", "no:requirement-record", "-p", "no:xdist", "--hypothesis-seed=0"]
    return int(pytest.main([*options, *(str(ROOT / one) for one in mirror_of(mutant.file))]))


def unchanged(file: str) -> Mutant:
    """The module as it is: its tests have to pass, or nothing is proven by their failing."""
    return Mutant(file, -1, 0, "", "unchanged")


def outcomes(wanted: Sequence[Mutant], jobs: int) -> Iterator[tuple[Mutant, bool]]:
    """(mutant, whether all its tests passed) as they end, so many at a time."""
    waiting, running = list(reversed(wanted)), dict[int, Mutant]()
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            running[start(mutant)] = mutant
        pid, status = os.waitpid(-1, 0)
        if pid in running:
            yield running.pop(pid), os.waitstatus_to_exitcode(status) == PASSED
        else:
            time.sleep(0)
