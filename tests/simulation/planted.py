"""How sharp the eye is: wrong versions of the product, and after how many seeds the simulator catches each.

Each planted bug is a replacement of text in a copy of the checkout, played in a process of its own: first seeds, then
the catalogue of faults and a short exploration. Without this figure a run without violations would mean little.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import Struct

from tests.checkout import ROOT
from tests.simulation.corpus import CORPUS
from tests.simulation.corpus_shell import SHELL
from tests.simulation.wrong import Wrong

ALL = (*CORPUS, *SHELL)
MOST_SEEDS = 200
STATES = 20_000
BROKEN = "does not run"
PACKAGES = ("oms", "eventlog", "replay", "migrations", "tests")


class Detection(Struct, frozen=True):
    """How a planted bug was caught: by the n-th seed (1 is the first), a row of the catalogue, exploration, or not."""

    name: str
    seeds: int | None
    invariant: str
    how: str
    seconds: float

    @property
    def is_caught(self) -> bool:
        """Whether anything noticed it; one that does not even run proves nothing."""
        return bool(self.invariant) and not self.invariant.startswith(BROKEN)


def problems(wrong: Wrong) -> list[str]:
    """Why a planted bug cannot be applied to this checkout; empty where it can."""
    found = []
    for path, old, _ in wrong.edits:
        count = (ROOT / path).read_text(encoding="utf-8").count(old)
        if count != 1:
            found.append(f"{wrong.name}: its text stands {count} times in {path}")
    return found


def hunt(chosen: Iterable[Wrong], jobs: int = 1, seeds: int = MOST_SEEDS) -> Iterator[Detection]:
    """Look for every chosen bug, in their order; each is told as soon as it is there."""
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda wrong: caught(wrong, seeds), chosen)


def caught(wrong: Wrong, seeds: int = MOST_SEEDS) -> Detection:
    """Apply a bug to a copy, and play until something is violated."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="oms-planted-") as folder:
        place = Path(folder)
        for name in PACKAGES:
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        for path, old, new in wrong.edits:
            target = place / path
            target.write_text(target.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
        found, invariant = _look(place, ["--seeds", str(seeds), "--start", str(wrong.start), "--first"])
        how = "seed"
        for name, words in (
            ("catalogue", ["--catalogue"]),
            ("exploration", ["--exhaustive", "--states", str(STATES)]),
        ):
            if invariant:
                break
            found, invariant, how = None, _look(place, words)[1], name
    return Detection(wrong.name, found, invariant, how, time.perf_counter() - begun)


def _look(place: Path, words: list[str]) -> tuple[int | None, str]:
    """Run the simulator in a copy: (seeds played, invariant violated or "")."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *words, "--json"],
        cwd=place,
        env={"PYTHONPATH": str(place), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return None, ""
    try:
        report = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        return (
            1,
            f"{BROKEN}: {done.stderr.strip().splitlines()[-1][:80] if done.stderr else done.returncode}",
        )
    first = report["violations"][0]
    return report.get("seeds"), str(first["invariant"])
