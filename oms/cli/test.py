"""`oms test [pytest arguments]`: the whole suite of this checkout, style and architecture included."""

import os

from oms.cli.child import command_of
from oms.cli.extra import require_archive
from oms.cli.output import Output
from oms.errors import EnvironmentProblem

WORKERS = (os.cpu_count() or 1) + 1
"""One more than there are cores: much of the suite waits for a database or a child process."""


def _install_extras(output: Output) -> None:
    """Tests of the archive need it; without it they say so, and the others run."""
    try:
        require_archive(output)
    except EnvironmentProblem as problem:
        output.message(problem.render())


app = command_of(
    "test",
    "pytest",
    f"--numprocesses={WORKERS}",
    "--dist=worksteal",
    summary="Run the test suite. Arguments are pytest's own; without any, everything is run.",
    prepare=_install_extras,
)
