"""From typing a command to its end: the first demo in a fresh copy of the checkout, the second one, and `--help`.

The copy has its own place for data and for what installers keep, so that nothing of the user is used or touched.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

from tests.benchmarks.rows import Row, Scale, Target
from tests.checkout import ROOT

HELP_TIMES = 9
TIMEOUT_S = 900
LEFT_OUT = shutil.ignore_patterns(".venv", ".git", "__pycache__", ".*_cache", ".hypothesis", "build", "dist")
CLEAN_UP = (
    "import shutil; from eventlog import cluster, embedded; embedded.reset(); "
    "shutil.rmtree(cluster.default_data_dir().parent, ignore_errors=True)"
)


def group(scale: Scale) -> Iterator[Row]:
    """All rows about starting; each is wall time. A small scale has none, for they take minutes."""
    if not scale.has_starts:
        return
    with _fresh_checkout() as (folder, environment):
        limits = (
            ("first demo, nothing installed", ("demo",), 1, Target(must=90, aim=60)),
            ("demo, warm", ("demo",), 1, Target(must=10, aim=6)),
            ("--help", ("--help",), HELP_TIMES, Target(must=0.3, aim=0.15)),
        )
        for name, words, times, target in limits:
            taken, problem = _timed(folder, environment, words, times)
            yield Row(name=name, value=taken, unit="s", target=target, note=problem)


@contextmanager
def _fresh_checkout() -> Iterator[tuple[Path, dict[str, str]]]:
    """A copy without environment or caches, and the variables under which it shares nothing with the user."""
    with tempfile.TemporaryDirectory(prefix="oms-bench-") as place:
        folder = Path(place) / "checkout"
        shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
        # HOME stays: a mirror of the package index is configured there. Data and caches have places of their own.
        hidden = ("PYTHONPATH", "VIRTUAL_ENV", "OMS_DATABASE_URL", "PIP_NO_CACHE_DIR")
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "UV_CACHE_DIR", "PIP_CACHE_DIR"):
            environment[name] = str(Path(place) / name.lower())
        try:
            yield folder, environment
        finally:
            _clean_up(folder, environment)


def _clean_up(folder: Path, environment: dict[str, str]) -> None:
    """Stop the copy's server and delete its data, which for the root user lie outside the temporary folder."""
    python = folder / ".venv" / "bin" / "python"
    if python.exists():
        subprocess.run([python, "-c", CLEAN_UP], cwd=folder, env=environment, check=False, timeout=TIMEOUT_S)


def _timed(
    folder: Path, environment: dict[str, str], words: tuple[str, ...], times: int
) -> tuple[float | None, str]:
    """Median seconds, or None and what the program said when it failed."""
    python = getattr(sys, "_base_executable", sys.executable)
    taken = []
    for _ in range(times):
        begun = perf_counter()
        done = subprocess.run(
            [python, "-m", "oms", *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        taken.append(perf_counter() - begun)
        if done.returncode:
            return None, " ".join((done.stderr or done.stdout).split())[:300]
    return median(taken), f"median of {times}" if times > 1 else "once"
