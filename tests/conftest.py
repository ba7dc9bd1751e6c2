"""What every test of this checkout shares."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from oms.errors import UsageProblem
from tests import asked_twice, requirements
from tests.requirements import is_known

MOST_REQUIREMENTS = 3
"""A test that is said to prove more than this proves none of them in particular."""

# The same examples on every machine and in every run: a green run means the same everywhere, and how long one
# example takes says nothing on a busy machine. Searching further is a matter of --hypothesis-profile=default.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

# A setting of the person who runs the tests must not change what they prove.
for _name in [name for name in os.environ if name.startswith("OMS__")]:
    del os.environ[_name]

# Started in the background by a shell, the run inherits an ignored interrupt, and so would every child of a test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _steps_are_decided_twice() -> Iterator[None]:
    """No step of any test may depend on which policies a calm pipeline left out."""
    with asked_twice.compared():
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a requirement marker that cannot be; let the others travel with the reports of their tests."""
    for item in items:
        markers = list(item.iter_markers("req"))
        ids = dict.fromkeys(str(text) for marker in markers for text in marker.args)
        wrong = [text for text in ids if not is_known(text)]
        if wrong or not all(marker.args for marker in markers):
            raise pytest.UsageError(f"{item.nodeid}: no such requirement {wrong}")
        if len(ids) > MOST_REQUIREMENTS:
            raise pytest.UsageError(f"{item.nodeid}: {len(ids)} requirements, more than {MOST_REQUIREMENTS}")
        item.user_properties.extend(("req", text) for text in ids)


class RequirementRecord:
    """Writes down how the tests of each requirement ended, in the process that sees all their reports."""

    def __init__(self) -> None:
        self.ran: dict[str, requirements.Ran] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a report of this process, or of a worker process."""
        before = self.ran.get(report.nodeid, requirements.Ran("", ()))
        outcome = self._outcome(before.outcome, report.outcome)
        ids: tuple[str, ...] | None = tuple(
            str(value) for name, value in report.user_properties if name == "req"
        )
        if report.when not in ("setup", "call", "teardown"):  # A worker died; its test cannot say its ids.
            ids = before.ids or None
        self.ran[report.nodeid] = requirements.Ran(outcome, ids)

    @staticmethod
    def _outcome(before: str, now: str) -> str:
        """The outcome of the parts so far: set-up, test, tidying up."""
        return next((one for one in ("failed", "skipped") if one in (before, now)), now)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Bring the record up to date, if any test was run."""
        if not self.ran:
            return
        try:
            before = requirements.read(requirements.RECORD)
        except UsageProblem:
            before = requirements.Record()
        after = requirements.merged(before, self.ran, is_whole=is_whole_run(session, exitstatus))
        try:
            requirements.write(after, requirements.RECORD)
        except OSError as error:
            session.config.get_terminal_writer().line(f"\nno record of the requirements: {error}")


def is_whole_run(session: pytest.Session, exitstatus: int) -> bool:
    """Whether every test of the checkout had its turn in this run."""
    config = session.config
    chosen = any(
        config.getoption(name, None) for name in ("keyword", "markexpr", "deselect", "ignore", "ignore_glob")
    )
    ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not session.shouldstop
    by_default = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return by_default and ended and not chosen and not session.shouldfail


def pytest_configure(config: pytest.Config) -> None:
    """Keep the record in one process only: workers send their reports to it."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(RequirementRecord(), "requirement-record")
