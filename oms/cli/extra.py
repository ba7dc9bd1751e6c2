"""Packages that few need: the extra `archive` is installed when somebody asks for it, and by `oms test`."""

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from oms import __main__ as bootstrap
from oms.cli.output import Output
from oms.errors import EnvironmentProblem

ARCHIVE: Final = ("pyarrow", "duckdb")
LOCK: Final = Path(__file__).parents[1] / "requirements-archive.txt"


def require_archive(output: Output) -> None:
    """See to it that Parquet and DuckDB are there; in a checkout's own `.venv` by installing them.

    Raises EnvironmentProblem.
    """
    if bootstrap.is_inside() and LOCK.is_file():
        try:
            if bootstrap.install_extra(str(LOCK)):
                importlib.invalidate_caches()
                output.step("extra", "archive: pyarrow and duckdb are installed")
        except OSError as error:
            raise EnvironmentProblem(
                "OMS-E006",
                "The packages of the extra `archive` cannot be installed",
                where=bootstrap.VENV,
                why=str(error.strerror or error),
                hint="use a checkout that you may write to, on a disk with 300 MB free",
            ) from error
    missing = [name for name in ARCHIVE if find_spec(name) is None]
    if missing:
        raise EnvironmentProblem(
            "OMS-E005",
            "The archive needs packages that are not installed",
            where=", ".join(missing),
            why="they are 60 MB to download that trading itself does not need",
            hint="pip install 'oms[archive]'",
        )
