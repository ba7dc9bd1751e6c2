"""`python -m tests.golden SESSION LOG`: play a golden session and write its log, as `oms replay` reads it."""

import sys
from decimal import localcontext
from pathlib import Path

from oms.values import CONTEXT
from replay.export import export
from tests.golden.test_golden import INPUTS, begun, read
from tests.unit.replay.stories import log_of


def main(words: list[str]) -> int:
    """Play the inputs of the file; what it expects of them is the business of its test."""
    session, target = map(Path, words)
    with localcontext(CONTEXT):
        story = begun(session)
        for number, text, _expected in read(session):
            name, *args = text.split()
            try:
                story.take(INPUTS[name](args))
            except (LookupError, ValueError, ArithmeticError, AssertionError, StopIteration) as error:
                print(
                    f"{session.name} line {number}, {text}: {type(error).__name__} {error}", file=sys.stderr
                )
                return 2
        export(log_of(story), story.book.account.account, target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
