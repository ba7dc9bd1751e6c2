"""`oms test [pytest arguments]`: the whole suite of this checkout, style and architecture included."""

import os

from oms.cli.child import command_of

WORKERS = (os.cpu_count() or 1) + 1
"""One more than there are cores: much of the suite waits for a database or a child process."""

app = command_of(
    "test",
    "pytest",
    f"--numprocesses={WORKERS}",
    "--dist=worksteal",
    summary="Run the test suite. Arguments are pytest's own; without any, everything is run.",
)
