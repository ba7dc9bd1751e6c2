"""Readers that follow the log: every row of an account once, in order, whatever writers and rollbacks do meanwhile.

A reader keeps its place (seq and link) for each account, and moves it in the transaction in which it writes its own
output: both happen, or neither. It needs no time-out for gaps and no global number, because the rows of an account
that are visible are a prefix; it asserts that, and that each link follows from the one before. Across accounts no
order is observed. Eventlog 3.4.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import psycopg
from msgspec import Struct
from psycopg.types.numeric import Int4BinaryLoader, Int8BinaryLoader

from eventlog import queries, reading
from eventlog.chain import account_piece, genesis, link, row_pieces
from eventlog.envelope import shard_of
from eventlog.errors import LogCorrupt
from eventlog.failures import translated
from eventlog.reading import Stored

Connection = psycopg.Connection[Any]
Take = Callable[[Connection, str, Sequence[Stored]], None]
"""What a reader does with the next rows of an account, whose id comes second. It writes with the connection that it is
given; an output elsewhere may be asked for twice, and is told apart by (account, seq)."""

BLOCK_ROWS: Final = 1000


class Place(Struct, frozen=True):
    """How far a reader is in an account: the last row that it took, and that row's link."""

    account: str
    seq: int
    chain: bytes


class CursorReader:
    """A named reader. Several processes may use one name: they take turns, and each row is still taken once."""

    def __init__(self, conninfo: str, reader: str, take: Take, *, block_rows: int = BLOCK_ROWS) -> None:
        self._reader = reader
        self._take = take
        self._block_rows = block_rows
        self._connection: Connection = psycopg.connect(conninfo, autocommit=True)
        # Whole numbers as PostgreSQL counts them, in the binary results of this module alone.
        self._connection.adapters.register_loader("timestamptz", Int8BinaryLoader)
        self._connection.adapters.register_loader("date", Int4BinaryLoader)

    def close(self) -> None:
        """Close the connection; the places stay."""
        self._connection.close()

    def places(self) -> list[Place]:
        """How far this reader is, by account id."""
        return [Place(*row) for row in self._rows(queries.CURSORS, (self._reader,))]

    def advance_all(self) -> int:
        """Take one block of every account that has gone on; the number of rows taken, 0 if there are none."""
        heads = [reading.head(row) for row in self._rows(queries.HEADS, ())]
        known = {place.account: place.seq for place in self.places()}
        # A head behind the place is a log that was set back; `advance` says so.
        return sum(self.advance(head.account) for head in heads if head.seq != known.get(head.account, 0))

    def advance(self, account: str) -> int:
        """Take the next rows of an account, at most one block; return how many.

        Raises LogCorrupt if the log is no continuation of what was taken, and what `take` raises: then the place
        has not moved, and nothing that was written with the connection is stored.
        """
        try:
            with self._connection.transaction():
                place = self._locked_place(account)
                rows = self._following(place)
                if rows:
                    self._take(self._connection, account, rows)
                    self._move(Place(account, rows[-1].envelope.seq, rows[-1].chain))
                return len(rows)
        except psycopg.Error as error:
            raise translated(error, account) from error

    def _locked_place(self, account: str) -> Place:
        key = (shard_of(account), account, self._reader)
        self._connection.execute(queries.CREATE_CURSOR, (*key, genesis(account)))
        ((seq, chain),) = self._rows(queries.CURSOR_FOR_UPDATE, key)
        return Place(account, seq, chain)

    def _following(self, place: Place) -> list[Stored]:
        account = place.account
        key = (shard_of(account), account)
        heads = self._rows(queries.HEAD, key)
        last = heads[0][1] if heads else 0
        if last < place.seq:
            raise LogCorrupt(
                f"account {account}: the log ends at row {last}, but reader {self._reader} has taken row {place.seq}",
                seq=last + 1,
            )
        last = min(last, place.seq + self._block_rows)

        def block(after: int, until: int) -> list[reading.Row]:
            return self._rows(queries.STORED, (*key, after, until, self._block_rows))

        rows = reading.contiguous(account, block, place.seq, last)
        found = [Stored(reading.envelope(row[:-2]), row[-2], row[-1]) for row in rows]
        own, previous = account_piece(account), place.chain
        for stored in found:
            if link(previous, own, row_pieces(stored.envelope)) != stored.chain:
                seq = stored.envelope.seq
                raise LogCorrupt(f"account {account}: row {seq} does not follow from row {seq - 1}", seq=seq)
            previous = stored.chain
        return found

    def _move(self, place: Place) -> None:
        key = (shard_of(place.account), place.account, self._reader)
        self._connection.execute(queries.MOVE_CURSOR, (place.seq, place.chain, *key))

    def _rows(self, query: str, values: Sequence[object]) -> list[Any]:
        return self._connection.execute(query, values, binary=True).fetchall()
