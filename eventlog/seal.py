"""What binds an account's day, and the Merkle tree over the seals of a day: one root stands for all of them.

A path of the tree proves that one seal is under the root without showing the others. Leaves and nodes are hashed
with different first bytes, so that no node can pass for a leaf (RFC 6962, 2.1).
"""

from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from typing import Any, Final

import psycopg
from msgspec import Struct

from eventlog.canon import canonical
from eventlog.envelope import shard_of
from eventlog.errors import LogCorrupt, LogError

Connection = psycopg.Connection[Any]

# `recorded_at` stays outside the chain, so the seal binds it.
DAY: Final = """
SELECT min(seq), max(seq), (array_agg(chain ORDER BY seq DESC))[1],
    sha256(string_agg(int8send(seq) || timestamptz_send(recorded_at), ''::bytea ORDER BY seq))
FROM oms.event WHERE shard = %s AND account = %s AND trading_day = %s
"""
OPEN_DAYS: Final = """
SELECT DISTINCT event.account, event.trading_day FROM oms.event
JOIN oms.account_head AS head ON head.shard = event.shard AND head.account = event.account
WHERE event.trading_day < head.trading_day AND (%(day)s::date IS NULL OR event.trading_day = %(day)s)
    AND NOT EXISTS (SELECT 1 FROM oms.day_seal AS seal WHERE seal.shard = event.shard AND seal.account = event.account
        AND seal.trading_day = event.trading_day)
ORDER BY event.trading_day, event.account
"""
SAVE: Final = """
INSERT INTO oms.day_seal (shard, account, trading_day, first_seq, last_seq, chain, recorded_digest, state_digest,
    fold_version)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
SEALED: Final = """
SELECT account, first_seq, last_seq, chain, recorded_digest, coalesce(state_digest, ''), coalesce(fold_version, 0)
FROM oms.day_seal WHERE trading_day = %s ORDER BY account
"""


class Seal(Struct, frozen=True, kw_only=True):
    """The range of an account's day, its last link, its recording times, and the digest of the state at its end.

    Hashes are lower-case hexadecimal. `state` is of `fold_version` and empty where nobody folded.
    """

    account: str
    day: str
    first_seq: int
    last_seq: int
    chain: str
    recorded: str
    state: str = ""
    fold_version: int = 0


class Step(Struct, frozen=True):
    """One step of a path towards the root: the hash beside it, and whether that stands to the left."""

    beside: str
    left: bool


def measure(connection: Connection, account: str, day: date) -> Seal:
    """The seal that the rows of a day give now. Raises LogCorrupt for a day without rows."""
    row = connection.execute(DAY, (shard_of(account), account, day)).fetchone()
    if row is None or row[0] is None:
        raise LogCorrupt(f"account {account} has no rows on {day}", seq=0)
    first, last, chain, recorded = row
    return Seal(
        account=account, day=str(day), first_seq=first, last_seq=last, chain=chain.hex(), recorded=recorded.hex()
    )  # fmt: skip


def open_days(connection: Connection, day: date | None = None) -> list[tuple[str, date]]:
    """Days that are over and not sealed, as (account, day). A day is over once the account's own day has moved on."""
    return list(connection.execute(OPEN_DAYS, {"day": day}).fetchall())


def save(connection: Connection, seal: Seal) -> None:
    """Keep a seal beside the log. Raises LogError if the day was sealed otherwise before."""
    values = (seal.first_seq, seal.last_seq, bytes.fromhex(seal.chain), bytes.fromhex(seal.recorded),
              bytes.fromhex(seal.state) or None, seal.fold_version or None)  # fmt: skip
    connection.execute(SAVE, (shard_of(seal.account), seal.account, seal.day, *values))
    stored = [
        one for one in stored_seals(connection, date.fromisoformat(seal.day)) if one.account == seal.account
    ]
    if not (stored and agree(stored[0], seal)):
        raise LogError(f"account {seal.account}: {seal.day} was sealed before, with another content")


def stored_seals(connection: Connection, day: date) -> list[Seal]:
    """The seals of a day as the database has them, by account; those of older programs know no state."""
    return [
        Seal(
            account=name,
            day=str(day),
            first_seq=first,
            last_seq=last,
            chain=chain.hex(),
            recorded=recorded.hex(),
            state=state.hex(),
            fold_version=fold_version,
        )
        for name, first, last, chain, recorded, state, fold_version in connection.execute(
            SEALED, (day,)
        ).fetchall()
    ]


def facts(seal: Seal) -> tuple[str, str, int, int, str, str]:
    """What the rows of the day say, whatever program reads them."""
    return seal.account, seal.day, seal.first_seq, seal.last_seq, seal.chain, seal.recorded


def agree(one: Seal, other: Seal) -> bool:
    """Whether two seals are of the same rows, and of the same state where both were folded by the same fold."""
    comparable = one.fold_version == other.fold_version
    return facts(one) == facts(other) and (not comparable or one.state == other.state)


def leaf(seal: Seal) -> bytes:
    """The hash of a seal."""
    return sha256(
        b"\0" + canonical({name: getattr(seal, name) for name in seal.__struct_fields__}).encode()
    ).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The hash that stands for all leaves, in their order. There is at least one."""
    assert leaves
    level = list(leaves)
    while len(level) > 1:
        level = _next(level)
    return level[0]


def path(leaves: Sequence[bytes], index: int) -> tuple[Step, ...]:
    """The steps from a leaf to the root."""
    level, steps = list(leaves), []
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            steps.append(Step(level[beside].hex(), left=beside < index))
        level, index = _next(level), index // 2
    return tuple(steps)


def climb(start: bytes, steps: Sequence[Step]) -> bytes:
    """The root that a leaf and its path lead to."""
    found = start
    for step in steps:
        beside = bytes.fromhex(step.beside)
        found = _node(beside, found) if step.left else _node(found, beside)
    return found


def _next(level: list[bytes]) -> list[bytes]:
    """The level above; the last of an odd number moves up as it is."""
    pairs = [_node(level[place], level[place + 1]) for place in range(0, len(level) - 1, 2)]
    return pairs + level[len(pairs) * 2 :]


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()
