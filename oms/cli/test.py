"""`oms test [pytest arguments]`: the whole suite of this checkout, style and architecture included."""

from oms.cli.child import command_of

app = command_of(
    "test",
    "pytest",
    summary="Run the test suite. Arguments are pytest's own; without any, everything is run.",
)
