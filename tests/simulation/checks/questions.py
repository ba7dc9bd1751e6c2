"""H. The questions that are asked: for the books whenever the link is made and as long as it stands, of orders in time.

What the product publishes of it cannot be wrong for long without being noticed elsewhere, but mostly it can be wrong
for a while; so the questions are judged by when they left, and by which of them was answered.
"""

from collections.abc import Iterator
from itertools import takewhile

from msgspec import Struct

from oms.commands import QueryOrder
from oms.events.broker import BrokerLinkChanged, BrokerLinkStatus, BrokerSnapshotReported, CommandFailed
from oms.events.decisions import QueryRequested
from oms.events.session import WriterStarted
from oms.state.order import Order
from oms.state.pipeline import Pipeline
from oms.values import MILLISECOND
from tests.simulation.checks.base import IDLE, Scene, check
from tests.simulation.desk import Question

LATEST_US = 100_000_000
"""How late a question may be because the process slept: the longest stall of a plan, and a little."""
DOUBLINGS = 4
RECONCILIATION = "reconciliation"
FOLLOWED = 3
"""How often the same difference is followed up for certain."""


class Link(Struct):
    """The link as the log tells of it: since when, which one of the desk's, and whether its books were told.

    `compared` says whether this writer has compared the books before, over whatever link.
    """

    boot: int = -1
    since: int = 0
    number: int = 0
    stands: bool = False
    told: bool = False
    compared: bool = False


@check("I70")
def books_are_told_before_they_count(scene: Scene) -> Iterator[str]:
    """The books count as compared only by a complete answer to a question that was asked over this very link.

    Until a writer's first comparison it may be the late answer to a question of the link before (`oms/docs.md`).
    """
    link: Link = scene.own("link", Link())
    desk, event = scene.world.desk, scene.input
    if link.boot != scene.memory.get("boots"):
        link.boot, link.stands, link.told = scene.memory.get("boots", 0), False, False
        link.compared = False
    if isinstance(event, WriterStarted):
        link.stands = link.told = False
    elif isinstance(event, BrokerLinkChanged):
        link.stands, link.told = event.status is BrokerLinkStatus.CONNECTED, False
        link.since, link.number = desk.now, desk.link
    elif isinstance(event, BrokerSnapshotReported) and event.complete:
        asked = {one.asked_at_seq for one in _asked_over(desk.questions, link.number)}
        link.told = link.told or not link.compared or event.asked_at_seq in asked
    link.compared = link.compared or scene.account.reconciled
    if scene.account.reconciled and not (link.stands and link.told):
        yield f"the books count as compared by {type(event).__name__}, and nobody has told them over this link"


def _standing(scene: Scene) -> Link | None:
    """The link as long as it stands, both in the log and in truth."""
    link: Link | None = scene.memory.get("link")
    stands = link is not None and link.stands and link.boot == scene.memory.get("boots")
    return link if stands and not scene.world.desk.down else None


@check("I70", IDLE)
def books_are_asked_for_at_once(scene: Scene) -> Iterator[str]:
    """All of the books are asked for when the link is made, before anything else is."""
    link, desk = _standing(scene), scene.world.desk
    if link is None or link.told:
        return
    if not any(one.whole for one in _asked_over(desk.questions, link.number)):
        yield f"the link stands since {link.since} and nobody has asked for all of the books"


@check("I64", IDLE)
def books_are_asked_for_again(scene: Scene) -> Iterator[str]:
    """As long as the link stands the books are asked for from time to time; sooner if nobody has told them yet."""
    link, desk = _standing(scene), scene.world.desk
    asked = desk.questions[-1] if desk.questions else None
    if link is None or asked is None or asked.link < link.number:
        return
    setting = scene.account.settings.protection
    every = setting.books_every_ms
    if not link.told:
        times = sum(1 for _ in _asked_over(desk.questions, link.number))
        every = min(every, setting.resolve_timeout_ms << min(times - 1, DOUBLINGS))
    late = desk.now - max(asked.at, link.since, scene.world.log.away_until) - every * MILLISECOND
    if late > LATEST_US:
        yield f"nobody has asked for the books for {(late // MILLISECOND) + every} ms"


class Left(Struct):
    """How many commands and questions were looked at, and the newest end of the log that one of them named."""

    commands: int = 0
    questions: int = 0
    named: int = 0


@check("I62", IDLE)
def questions_tell_of_what_has_left(scene: Scene) -> Iterator[str]:
    """The end of the log that a question names is one that the broker can know of: what was decided before it has left
    before the question, or never does. Except what was decided before the last link fell and stored with its return: no
    question may name an end from before the fall."""
    desk, looked = scene.world.desk, scene.own("left", Left())
    for number in range(looked.commands, len(desk.sent)):
        while looked.questions < len(desk.questions) and desk.questions[looked.questions].sent <= number:
            looked.named = max(looked.named, desk.questions[looked.questions].asked_at_seq)
            looked.questions += 1
        command = desk.sent[number][1]
        is_claimed = scene.account.asked_from < command.seq <= looked.named
        if is_claimed and not isinstance(command, QueryOrder):
            yield f"{command.client_order_id} left after a question that claims to be asked after it"
    looked.commands = len(desk.sent)


def _asked_over(questions: list[Question], link: int) -> Iterator[Question]:
    """The questions of a link, newest first."""
    for one in reversed(questions):
        if one.link < link:
            return
        yield one


class Looks(Struct):
    """What looks have found: how often the same, the questions asked when the newest was answered, what is due."""

    times: dict[tuple[str, str], int] = {}
    answered: int = 0
    due: int | None = None


@check("I69", on=(BrokerSnapshotReported,))
def looks_are_counted(scene: Scene) -> Iterator[str]:
    """(Bookkeeping) which answers to a mere look contradict the log."""
    event, questions = scene.input, scene.world.desk.questions
    looks: Looks = scene.own("looks", Looks())
    if isinstance(event, BrokerSnapshotReported):
        was_look = len(questions) > looks.answered and not questions[-1].whole
        looks.answered = len(questions)
        # Half an answer is followed up too, and counts.
        for name, pipeline in scene.pipelines.items() if was_look else ():
            key = name, str(pipeline.notes.get(RECONCILIATION, {}).get("difference", "0"))
            looks.times[key] = looks.times.get(key, 0) + 1
            if event.complete and key[1] != "0" and looks.times[key] <= FOLLOWED:
                looks.due = scene.world.desk.now_of()
    yield from ()


@check("I69", IDLE)
def what_a_look_finds_is_followed_up(scene: Scene) -> Iterator[str]:
    """Where positions alone are at odds with the log, all of the books are asked for at once."""
    looks: Looks = scene.own("looks", Looks())
    due, looks.due = looks.due, None
    link = scene.memory.get("link")
    if due is None or link is None or link.boot != scene.memory.get("boots") or due < link.since:
        return
    since = takewhile(lambda one: one.at >= due, reversed(scene.world.desk.questions))
    if not any(one.whole for one in since):
        yield "a look has found a difference and nobody has asked for all of the books"


@check("I87", of=(QueryRequested,))
def orders_are_not_asked_about_too_early(scene: Scene) -> Iterator[str]:
    """A request, or a question, has its time to be answered; an order is asked about when that is over."""
    for one in scene.decisions(QueryRequested):
        before = scene.before.get(one.event.instrument)
        if one.event.policy != RECONCILIATION or before is None:
            continue
        own = one.event.client_order_id
        old, new = before.orders.get(own), scene.pipelines[one.event.instrument].orders[own]
        if isinstance(scene.input, CommandFailed) and scene.input.command_seq in [
            row.seq for row in new.pending
        ]:
            # The link says itself that nobody knows whether it arrived.
            continue
        if old is not None and _same_requests(old, new) and _has_time(scene, before, old):
            yield f"{own} was asked about ({one.event.reason}), and its answer may still be on the way"


def _same_requests(old: Order, new: Order) -> bool:
    """Whether the step has neither settled a request nor made one."""
    return [one.seq for one in old.pending] == [one.seq for one in new.pending]


def _has_time(scene: Scene, before: Pipeline, old: Order) -> bool:
    """Whether something was asked of, or about, the order, and all of it is still within its time."""
    patience = scene.account.settings.protection.ack_timeout_ms * MILLISECOND
    if old.pending:
        return not any(one.unknown or scene.now >= one.asked_at + patience for one in old.pending)
    question = before.questions.get(old.client_order_id)
    return question is not None and scene.now < question.asked_at + patience
