"""`oms bench [arguments]`: measurements against the published targets."""

from oms.cli.child import command_of

app = command_of("bench", "tests.benchmarks", summary="Measure speed and compare it with the targets.")
