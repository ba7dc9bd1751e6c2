"""A log that can be away: what the log cannot take is not lost, not doubled, and ends where it belongs."""

from collections.abc import Iterator, Sequence
from decimal import localcontext
from pathlib import Path

import pytest

from eventlog.envelope import Head, StepRecord
from eventlog.errors import DatabaseAway, Fenced
from eventlog.memory import MemoryLog
from eventlog.verify import verify_chain
from oms.commands import PlaceOrder
from oms.events.base import Stamped
from oms.events.session import JournalSetAside, LogLinkChanged
from oms.shell.journal import Journal
from oms.shell.journaled import RETRY_S
from oms.shell.recovery import recover
from oms.shell.runner import Runner
from oms.state.digest import digest
from oms.values import CONTEXT, SECOND
from replay.verify import verify
from tests import builders
from tests.unit.shell.away import ACCOUNT, AwayLog, Clock, writer
from tests.unit.shell.test_runner import fill, quote

AT = builders.OPEN


@pytest.fixture(autouse=True)
def _arithmetic() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield


def told(*events: object, at: int = AT) -> list[Stamped]:
    return [Stamped(event=event, logical_time=at) for event in events]  # type: ignore[arg-type]


def market(runner: Runner) -> None:
    """Instrument, session, broker and a quote: ready for an entry."""
    start = [builders.instrument(), builders.session(), *builders.connection()]
    runner.process(told(*start, builders.quote("99.99", "100.01", at=AT)))


def types(log: MemoryLog) -> list[str]:
    return [row.type for row in log.read(ACCOUNT)]


def proven(log: MemoryLog, runner: Runner | None = None) -> None:
    """The log is whole, decides the same again, and folds to what the writer published."""
    assert verify_chain(log, ACCOUNT).intact
    found = verify(log, ACCOUNT)
    assert found.is_identical, found.why
    if runner is not None:
        state = runner.published
        assert found.digest == digest(state.account, state.pipelines)
        assert runner.head.seq == log.last_seq(ACCOUNT)


def journal_of(directory: Path) -> Path:
    (path,) = directory.glob("*.journal")
    return path


@pytest.mark.req("I60")
def test_a_step_is_in_the_journal_before_its_command_is_released(tmp_path: Path) -> None:
    log, clock = AwayLog(), Clock()
    runner, _ = writer(log, tmp_path, clock)
    market(runner)
    before = log.last_seq(ACCOUNT)
    log.away = True
    (command,) = runner.process(told(builders.entry()))
    assert isinstance(command, PlaceOrder)
    assert runner.is_away
    assert log.last_seq(ACCOUNT) == before
    (record,) = Journal(journal_of(tmp_path)).read().records
    assert [row.type for row in record.step.events] == ["EntryRequested", "EntryAccepted", "OrderPlaced"]
    assert record.step.outbox[0].client_order_id == command.client_order_id
    assert record.before.seq == before


@pytest.mark.req("I01", "I04")
@pytest.mark.parametrize("stores_first", [False, True])
def test_what_was_decided_without_the_log_follows_in_its_place(tmp_path: Path, stores_first: bool) -> None:
    log, clock = AwayLog(), Clock()
    runner, journaled = writer(log, tmp_path, clock)
    market(runner)
    log.away, log.stores_first = True, stores_first
    (command,) = runner.process(told(builders.entry()))
    runner.process([quote(AT + 5), fill()])
    log.away = False
    runner.process([quote(AT + 6)])
    assert "OrderFilled" not in types(log), "the log is asked again only after a pause"
    clock.seconds += RETRY_S
    runner.process([quote(AT + 7)])
    assert not runner.is_away
    proven(log, runner)
    placed = next(row for row in log.read(ACCOUNT) if row.type == "OrderPlaced")
    assert placed.client_order_id == command.client_order_id
    assert not list(tmp_path.glob("*.journal"))
    assert [type(one).__name__ for one in journaled.news()] == ["LogLinkChanged", "LogLinkChanged"]


class LateLog(AwayLog):
    """What was on its way when the line broke arrives only when it is asked again."""

    late: tuple[Head, Sequence[StepRecord]] | None = None

    def append(self, head: Head, steps: Sequence[StepRecord]) -> Head:
        if self.away and self.late is None:
            self.late = head, steps
        elif not self.away and self.late is not None:
            first, self.late = self.late, None
            super().append(*first)
        return super().append(head, steps)


def test_an_append_that_arrives_late_is_not_stored_twice(tmp_path: Path) -> None:
    log, clock = LateLog(), Clock()
    runner, _ = writer(log, tmp_path, clock)
    market(runner)
    log.away = True
    runner.process([quote(AT + 5), fill()])
    assert log.late is not None
    assert len(log.late[1]) == 2
    runner.process([quote(AT + 6)])
    log.away = False
    clock.seconds += RETRY_S
    runner.process([quote(AT + 7)])
    assert not runner.is_away
    proven(log, runner)
    assert types(log).count("OrderFilled") == 1


@pytest.mark.req("I60", "I25")
def test_the_next_writer_takes_the_journal_in_before_anything_else(tmp_path: Path) -> None:
    log = AwayLog()
    runner, _ = writer(log, tmp_path)
    market(runner)
    log.away = True
    runner.process([*told(builders.entry()), fill()])
    state = runner.published
    log.away = False
    again, journaled = writer(log, tmp_path)
    names = types(log)
    assert names[names.index("EntryRequested") :].count("WriterStarted") == 1
    assert names.index("OrderFilled") < len(names) - 1 - names[::-1].index("WriterStarted")
    assert again.published.pipelines == state.pipelines
    proven(log, again)
    assert [one.text for one in journaled.news()] == ["2 steps came from the emergency journal"]  # type: ignore[attr-defined]
    assert not list(tmp_path.iterdir())


def test_a_crash_in_the_middle_of_taking_it_in_changes_nothing(tmp_path: Path) -> None:
    class Stops(AwayLog):
        left = -1

        def append(self, head, steps):  # type: ignore[no-untyped-def]
            if self.left == 0:
                raise DatabaseAway
            self.left -= 1
            return super().append(head, steps)

    log = Stops()
    runner, _ = writer(log, tmp_path)
    market(runner)
    log.away = True
    runner.process([*told(builders.entry()), quote(AT + 5), fill()])
    for done in (1, 1):
        log.away, log.left = False, done
        with pytest.raises(DatabaseAway):
            writer(log, tmp_path)
    log.left = -1
    again, _ = writer(log, tmp_path)
    proven(log, again)
    assert types(log).count("EntryRequested") == 1
    assert types(log).count("OrderFilled") == 1


@pytest.mark.req("I60")
def test_what_a_crash_tore_is_told_and_kept(tmp_path: Path) -> None:
    log = AwayLog()
    runner, _ = writer(log, tmp_path)
    market(runner)
    log.away = True
    runner.process(told(builders.entry()))
    with journal_of(tmp_path).open("ab") as file:
        file.write(b"0000ffff half a rec")
    log.away = False
    again, journaled = writer(log, tmp_path)
    proven(log, again)
    assert "EntryRequested" in types(log)
    aside, back = journaled.news()
    assert isinstance(aside, JournalSetAside)
    assert (aside.records, aside.text) == (1, "its last 19 bytes are no whole record")
    assert isinstance(back, LogLinkChanged)
    assert [path.suffix for path in tmp_path.iterdir()] == [".evidence"]


def test_a_log_that_stays_away_is_asked_now_and_then(tmp_path: Path) -> None:
    class Asked(AwayLog):
        times = 0

        def head(self, account: str) -> Head | None:
            self.times += 1
            return super().head(account)

    log, clock = Asked(), Clock()
    runner, _ = writer(log, tmp_path, clock)
    market(runner)
    log.away, log.times = True, 0
    runner.process([quote(AT + 1)])
    for seconds, times in ((RETRY_S - 0.01, 0), (0.01, 1), (RETRY_S - 0.01, 1), (0.01, 2)):
        clock.seconds += seconds
        runner.process([quote(AT + 2)])
        assert log.times == times


@pytest.mark.req("I13")
def test_the_journal_of_a_superseded_writer_is_evidence_only(tmp_path: Path) -> None:
    log = AwayLog()
    runner, _ = writer(log, tmp_path / "here")
    market(runner)
    log.away = True
    runner.process(told(builders.entry()))
    log.away = False
    writer(log, tmp_path / "elsewhere")
    before = types(log)
    _, journaled = writer(log, tmp_path / "here")
    assert "EntryRequested" not in types(log)
    assert types(log)[len(before) :] == ["WriterStarted"]
    (aside,) = journaled.news()
    (kept,) = (tmp_path / "here").iterdir()
    assert kept.name.endswith(".evidence")
    assert (aside.file, aside.records) == (str(kept), 1)  # type: ignore[attr-defined]
    proven(log)


@pytest.mark.req("I13")
def test_a_writer_that_was_superseded_while_away_stops(tmp_path: Path) -> None:
    log, clock = AwayLog(), Clock()
    runner, _ = writer(log, tmp_path / "here", clock)
    market(runner)
    log.away = True
    runner.process(told(builders.entry()))
    log.away = False
    writer(log, tmp_path / "elsewhere")
    clock.seconds += RETRY_S
    with pytest.raises(Fenced):
        runner.process([quote(AT + 5)])
    assert "EntryRequested" not in types(log)
    assert [path.suffix for path in (tmp_path / "here").iterdir()] == [".evidence"]


def test_a_message_that_comes_again_while_away_is_counted_once(tmp_path: Path) -> None:
    log, clock = AwayLog(), Clock()
    runner, _ = writer(log, tmp_path, clock)
    market(runner)
    runner.process([fill()])
    log.away = True
    other = Stamped(event=fill(20).event, logical_time=AT, source="sim", dedupe_key="X2")
    runner.process([quote(AT + 5), other])
    # The log has X1 already, which nobody can look up now; X2 stands in the journal.
    runner.process([fill()])
    runner.process([other])
    assert runner.counts["duplicates"] == 1
    log.away = False
    clock.seconds += RETRY_S
    runner.process([quote(AT + 9)])
    proven(log, runner)
    assert types(log).count("OrderFilled") == 3
    assert log.inbox(ACCOUNT, "sim", "X1")[0] < log.inbox(ACCOUNT, "sim", "X2")[0]  # type: ignore[index]


@pytest.mark.req("I12")
def test_other_content_under_a_used_key_is_told_afterwards(tmp_path: Path) -> None:
    log, clock = AwayLog(), Clock()
    runner, journaled = writer(log, tmp_path, clock)
    market(runner)
    runner.process([fill(10)])
    log.away = True
    runner.process([fill(20)])
    log.away = False
    clock.seconds += RETRY_S
    runner.process([quote(AT + 9)])
    assert "DuplicateConflict" in [type(one).__name__ for one in journaled.news()]
    proven(log, runner)


def test_an_unstorable_input_becomes_evidence_while_away(tmp_path: Path) -> None:
    from msgspec.structs import replace

    log, clock = AwayLog(), Clock()
    runner, _ = writer(log, tmp_path, clock)
    market(runner)
    log.away = True
    runner.process([replace(fill(), event=replace(fill().event, execution="X\0"))])
    log.away = False
    clock.seconds += RETRY_S
    runner.process([quote(AT + 9)])
    assert "UnparsedFrame" in types(log)
    proven(log, runner)


def test_without_a_journal_an_absence_is_an_error() -> None:
    from tests.unit.shell.test_runner import opened

    log = AwayLog()
    runner = opened(log)
    log.away = True
    with pytest.raises(DatabaseAway):
        runner.process([fill()])


@pytest.mark.req("I60")
def test_a_journal_that_cannot_be_written_never_holds_up_a_command(tmp_path: Path) -> None:
    log, clock = AwayLog(), Clock()
    place = tmp_path / "journal"
    runner, journaled = writer(log, place, clock)
    market(runner)
    place.write_text("a file where the directory should be")
    log.away = True
    assert runner.process(told(builders.entry()))
    assert [one.status.value for one in journaled.news()] == ["AWAY", "UNWRITABLE"]  # type: ignore[attr-defined]
    # As soon as it can be written, it holds what it could not take before.
    place.unlink()
    runner.process([fill()])
    assert len(Journal(journal_of(place)).read().records) == 2
    log.away = False
    clock.seconds += RETRY_S
    runner.process([quote(AT + 9)])
    proven(log, runner)


def test_a_failed_renewal_sends_the_writer_on_without_the_log(tmp_path: Path) -> None:
    log = AwayLog()
    runner, _ = writer(log, tmp_path)
    runner._renewed -= 100
    log.away = True
    runner.process([fill()])
    assert runner.is_away


def test_another_log_of_the_same_account_has_another_journal(tmp_path: Path) -> None:
    from oms.shell.journaled import JournaledLog
    from oms.shell.opening import Identity, open_runner

    one, other = AwayLog(), AwayLog()
    runner, _ = writer(one, tmp_path)
    market(runner)
    one.away = True
    runner.process(told(builders.entry()))
    other.ensure_partitions(builders.DAY, 1)
    for _ in range(2):
        open_runner(
            JournaledLog(other, tmp_path),
            ACCOUNT,
            builders.settings(),
            at=builders.PRE_OPEN,
            trading_day=builders.DAY,
            who=Identity(log_id="another", code="code", dependencies="none"),
        )
    assert len(Journal(journal_of(tmp_path)).read().records) == 1


def test_state_after_an_absence_is_that_of_the_log(tmp_path: Path) -> None:
    log, clock = AwayLog(), Clock()
    runner, _ = writer(log, tmp_path, clock)
    market(runner)
    log.away = True
    runner.process([*told(builders.entry(), at=AT), quote(AT + SECOND)])
    log.away = False
    clock.seconds += RETRY_S
    runner.process([quote(AT + 2 * SECOND)])
    book = recover(log, ACCOUNT)
    state = runner.published
    assert digest(book.account, book.pipelines) == digest(state.account, state.pipelines)
