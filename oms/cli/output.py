"""Everything a command prints, for a terminal, a pipe, a program or nobody.

People's text goes to stdout, or to stderr under --json so that stdout holds the JSON object alone. `rich` is
loaded on a terminal only.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TextIO

from oms.errors import OmsError

PIPE_INTERVAL_SECONDS = 5.0
LABEL_WIDTH = 14

Advance = Callable[[int], None]


class Options(NamedTuple):
    """The global options of one command line."""

    json: bool = False
    quiet: bool = False
    config: str | None = None
    database: str | None = None
    color: bool = True
    debug: bool = False


class Output:
    """Prints what the options allow. `finish` or `problem` says the last word, once."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.stream: TextIO = sys.stderr if options.json else sys.stdout
        self.is_terminal = self.stream.isatty()
        self._finished = False

    def message(self, text: str) -> None:
        """Print a line for people."""
        if not self.options.quiet:
            print(text, file=self.stream, flush=True)

    def step(self, label: str, text: str, seconds: float | None = None) -> None:
        """Print ` label   text   0.8 s`, one part of the work that is done."""
        took = f"{seconds:.1f} s" if seconds is not None else ""
        self.message(f" {label:<{LABEL_WIDTH - 1}}{text:<56}{took:>8}".rstrip())

    @contextmanager
    def timed(self, label: str) -> Iterator[Callable[[str], None]]:
        """Time the block; the text given to the yielded function is printed with the seconds at its end."""
        started = time.monotonic()
        said: list[str] = []
        yield said.append
        if said:
            self.step(label, said[-1], time.monotonic() - started)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table; `rows` may be empty. In a pipe the columns are aligned with blanks."""
        cells = [[str(cell) for cell in row] for row in rows]
        if self.options.quiet:
            return
        if self.is_terminal:
            self._rich_table(columns, cells)
            return
        widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
        for line in [list(columns), *cells]:
            padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            self.message("  ".join(padded).rstrip())

    def _rich_table(self, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in cells:
            table.add_row(*map(Text, row))
        self._console().print(table)

    def _console(self) -> Any:
        from rich.console import Console

        return Console(file=self.stream, no_color=not self.options.color, highlight=False)

    @contextmanager
    def progress(self, label: str, total: int | None = None) -> Iterator[Advance]:
        """Yield `advance(count)`. A bar on a terminal, one line per five seconds in a pipe."""
        if self.options.quiet:
            yield lambda _count: None
        elif self.is_terminal:
            yield from self._bar(label, total)
        else:
            yield self._lines(label, total)

    def _bar(self, label: str, total: int | None) -> Iterator[Advance]:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn(" {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console(), transient=True) as bar:
            task = bar.add_task(label.ljust(LABEL_WIDTH - 2), total=total)
            yield lambda count: bar.advance(task, count)

    def _lines(self, label: str, total: int | None) -> Advance:
        done = 0
        last = time.monotonic()

        def advance(count: int) -> None:
            nonlocal done, last
            done += count
            now = time.monotonic()
            if now - last >= PIPE_INTERVAL_SECONDS:
                last = now
                self.step(label, f"{done}/{total}" if total is not None else str(done))

        return advance

    def finish(self, result: Mapping[str, Any], *, ok: bool = True) -> None:
        """Print the result for a program, if one asked: a single JSON object on the last line of stdout."""
        if self.options.json and not self._finished:
            self._finished = True
            text = json.dumps({"ok": ok, **result}, default=str, ensure_ascii=False, allow_nan=False)
            print(text, flush=True)

    def problem(self, problem: OmsError) -> None:
        """Print an error: on stderr for people, and as the JSON object for programs."""
        sys.stdout.flush()
        text = problem.render()
        if self.options.color and sys.stderr.isatty():
            head, newline, rest = text.partition("\n")
            text = f"\x1b[1;31m{head}\x1b[0m{newline}{rest}"
        print(text, file=sys.stderr, flush=True)
        self.finish({"error": problem.as_dict()}, ok=False)
