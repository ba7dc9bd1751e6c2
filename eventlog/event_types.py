"""The registry of event types: what stands in the log, in SQL, for whoever has no program to read it with.

The log itself knows no types. Whoever does brings them when it brings the schema up, as the owner; a type and version
that was registered once stays.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg
from msgspec import Struct

from eventlog.envelope import Kind
from eventlog.schema import become_owner

FOUND = "SELECT type, version, kind, meaning, body_schema::text FROM oms.event_type"
REGISTER = """
INSERT INTO oms.event_type (type, version, kind, meaning, body_schema) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (type, version) DO UPDATE
SET kind = excluded.kind, meaning = excluded.meaning, body_schema = excluded.body_schema
"""


class EventType(Struct, frozen=True):
    """One type and version. `body_schema` is a JSON schema of its bodies."""

    type: str
    version: int
    kind: Kind
    meaning: str
    body_schema: dict[str, Any]


def register(connection: psycopg.Connection[Any], types: Sequence[EventType]) -> list[EventType]:
    """Make these types known, in one transaction of the owner; return those that were new or said otherwise.

    An optional field that is added changes the schema of a version, and no body of it is misread.
    """
    rows = connection.execute(FOUND).fetchall()
    found = {
        (name, version): EventType(name, version, kind, meaning, msgspec.json.decode(text))
        for name, version, kind, meaning, text in rows
    }
    changed = [one for one in types if found.get((one.type, one.version)) != one]
    if changed:
        with connection.transaction():
            become_owner(connection)
            for one in changed:
                schema = msgspec.json.encode(one.body_schema).decode()
                connection.execute(REGISTER, (one.type, one.version, one.kind, one.meaning, schema))
    return changed
