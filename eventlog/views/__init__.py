"""The views that question the log: one file each, all derived from the tables, in an order that respects who uses whom.

Files of this folder become views of the schema `oms`, those below `check` of the schema `oms_check`, where every
view must be empty.
"""

import re
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from msgspec import Struct
from psycopg import sql

SCHEMA: Final = "oms"
CHECKS: Final = "oms_check"

# The views that are there, with the digest of the text they were made from.
FOUND: Final = f"""
SELECT relnamespace::regnamespace::text || '.' || relname, coalesce(obj_description(oid, 'pg_class'), '')
FROM pg_class WHERE relkind = 'v' AND relnamespace::regnamespace::text IN ('{SCHEMA}', '{CHECKS}')
"""


class View(Struct, frozen=True):
    """A view by its qualified name. `question` is its first comment: what it answers."""

    name: str
    text: str
    digest: str
    question: str


@cache
def definitions() -> tuple[View, ...]:
    """All views, each after those it reads."""
    folder = files("eventlog") / "views"
    texts = {**_texts(folder, SCHEMA), **_texts(folder / "check", CHECKS)}
    placed: list[str] = []
    waiting = sorted(texts)
    while waiting:
        ready = [name for name in waiting if not _used(texts[name]) & set(waiting) - {name}]
        assert ready, f"views use each other in a circle: {waiting}"
        placed += ready
        waiting = [name for name in waiting if name not in ready]
    return tuple(_view(name, texts[name]) for name in placed)


def identifier(name: str) -> sql.Identifier:
    """A qualified name for a statement."""
    return sql.Identifier(*name.split(".", 1))


def question(text: str) -> str:
    """The leading comment of an SQL text, as one line."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return " ".join(lines)


def _texts(folder: Traversable, schema: str) -> dict[str, str]:
    return {
        f"{schema}.{path.name.removesuffix('.sql')}": path.read_text(encoding="utf-8")
        for path in folder.iterdir()
        if path.name.endswith(".sql")
    }


def _used(text: str) -> set[str]:
    return set(re.findall(rf"\b{SCHEMA}\.\w+", text))


def _view(name: str, text: str) -> View:
    return View(name, text, sha256(text.encode()).hexdigest(), question(text))
