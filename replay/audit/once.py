"""A question as one statement in which every view is computed once, and of one account only if one is named.

Views over views are expanded by the server wherever they are read, and each expansion reads the log again: a list of
trades would read it thirty times, and the name of an account would reach none of them. So the views that a text reads
stand before it as common table expressions, those that are read more than once marked to be kept. What is asked is the
same; as it is in its file, each text works in psql.
"""

import re
from collections import Counter
from typing import Final

from psycopg import sql

from eventlog import views
from eventlog.envelope import shard_of

NAME: Final = re.compile(rf"(?<!')\b(?:{views.SCHEMA}|{views.CHECKS})\.\w+")
EVENTS: Final = f"{views.SCHEMA}.event"


def statement(text: str, account: str | None = None) -> sql.Composed:
    """The question of `text`, of one account's events where one is named: its views must judge accounts one by one."""
    known = {view.name: view.text for view in views.definitions()}
    read = Counter(name for part in (text, *_needed(text, known)) for name in NAME.findall(part))
    parts = []
    if account is not None:
        where = sql.SQL("SELECT * FROM oms.event WHERE shard = {} AND account = {}")
        parts.append(_named(EVENTS, where.format(shard_of(account), account), is_kept=False))
    for name, body in known.items():
        if name in read:
            parts.append(_named(name, sql.SQL(_local(body, known, account)), is_kept=read[name] > 1))
    question = sql.SQL("SELECT * FROM (\n{}\n) AS answer").format(sql.SQL(_local(text, known, account)))
    return sql.SQL("WITH {}\n{}").format(sql.SQL(",\n").join(parts), question) if parts else question


def _needed(text: str, known: dict[str, str]) -> list[str]:
    """The texts of all views that a text reads, each once."""
    found: dict[str, str] = {}
    waiting = [text]
    while waiting:
        for name in NAME.findall(waiting.pop()):
            if name in known and name not in found:
                found[name] = known[name]
                waiting.append(known[name])
    return list(found.values())


def _named(name: str, body: sql.Composable, *, is_kept: bool) -> sql.Composed:
    kept = sql.SQL("MATERIALIZED" if is_kept else "NOT MATERIALIZED")
    return sql.SQL("{} AS {} (\n{}\n)").format(sql.Identifier(_plain(name)), kept, body)


def _local(text: str, known: dict[str, str], account: str | None) -> str:
    """A text that reads what stands before it instead of the schema's views."""
    local = known.keys() | ({EVENTS} if account is not None else set())
    return NAME.sub(lambda found: _plain(found[0]) if found[0] in local else found[0], text)


def _plain(name: str) -> str:
    return name.partition(".")[2]
