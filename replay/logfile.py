"""A log in a file that `replay.export` wrote: read like any other event log, and never written.

Only the places of the rows are kept in memory. Whether the file is still what was exported is the chain's
question, and `eventlog.verify.verify_chain` answers it for a file as for a database.
"""

from base64 import b64decode
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from eventlog.chain import genesis
from eventlog.envelope import Envelope, Head
from eventlog.reading import Stored, last_of, missing
from oms.errors import InputError
from replay.export import FORMAT
from replay.readonly import ReadOnlyLog

HEX_DIGEST: Final = 64


class LogFile(ReadOnlyLog):
    """An EventLog of one account. Raises InputError with the line where the file is not what it should be."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._path = path
        self._configs: dict[str, str] = {}
        self._seqs: list[int] = []
        self._places: list[tuple[int, int]] = []
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise InputError(
                "OMS-R020", "The file cannot be read", where=str(path), why=error.strerror
            ) from None
        try:
            self.account, self._head = self._survey()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _survey(self) -> tuple[str, Head]:
        """Read the file once: every line is understood, configurations and places of rows are kept."""
        first = self._decoded(self._file.readline(), 1)
        account, announced = first.get("account"), first.get("rows")
        if first.get("format") != FORMAT or not isinstance(account, str) or not isinstance(announced, int):
            self._refuse(1, f"the first line must say {FORMAT}, the account and the number of rows")
        last: Stored | None = None
        at, number = self._file.tell(), 1
        for line in self._file:
            number += 1
            fields = self._decoded(line, number)
            if "config" in fields:
                self._configs[str(fields.get("config_sha256"))] = str(fields["config"])
            else:
                last = self._stored(fields, number)
                self._seqs.append(last.envelope.seq)
                self._places.append((at, number))
            at += len(line)
        if len(self._places) != announced:
            self._refuse(number, f"the file ends after {len(self._places)} of {announced} rows")
        epoch = first.get("epoch")
        if last is None:
            return account, Head(account, 0, genesis(account), 0)
        row = last.envelope
        head = Head(
            account,
            row.seq,
            last.chain,
            epoch if isinstance(epoch, int) else 0,
            row.logical_time,
            row.trading_day,
        )
        return account, head

    def _decoded(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            fields = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeError) as error:
            self._refuse(number, f"not a JSON object: {error}")
        if not isinstance(fields, dict):
            self._refuse(number, "not a JSON object")
        return fields

    def _stored(self, fields: dict[str, Any], number: int) -> Stored:
        try:
            link, raw = fields.pop("chain"), fields.pop("raw", None)
            row = msgspec.convert(fields, Envelope)
            if set(fields) - set(Envelope.__struct_fields__):
                raise ValueError("a column that is not known")
            if len(link) != HEX_DIGEST:
                raise ValueError("a link has 64 hexadecimal digits")
            return Stored(row, bytes.fromhex(link), None if raw is None else b64decode(raw, validate=True))
        except KeyError as error:
            self._refuse(number, f"the field {error} is missing")
        except (ValueError, TypeError) as error:
            self._refuse(number, f"not a row of a log: {error}")

    def _refuse(self, number: int, why: str) -> NoReturn:
        raise InputError(
            "OMS-R021",
            "The file is not the export of a log",
            where=f"{self._path} line {number}",
            why=why,
            hint="python3 -m oms replay --export FILE writes one",
        )

    # Reading

    def heads(self) -> list[Head]:
        """The head of the one account there is."""
        return [self._head]

    def head(self, account: str) -> Head | None:
        """Where the file ends, or None for another account."""
        return self._head if account == self.account else None

    def read(self, account: str, after: int = 0, until: int | None = None) -> Iterator[Envelope]:
        """Rows with after < seq <= until in seq order; raises LogCorrupt on a hole."""
        return (stored.envelope for stored in self.read_stored(account, after, until))

    def read_stored(self, account: str, after: int = 0, until: int | None = None) -> Iterator[Stored]:
        """As `read`, with chain links and raw frames."""
        last = last_of(account, self.head(account), until)
        after = max(after, 0)
        if after >= last:
            return
        # Where the file is torn, what is left counts from its own first row.
        for index in range(bisect_left(self._seqs, after + 1), len(self._places)):
            at, number = self._places[index]
            self._file.seek(at)
            stored = self._stored(self._decoded(self._file.readline(), number), number)
            after += 1
            if stored.envelope.seq != after:
                raise missing(account, min(after, stored.envelope.seq))
            yield stored
            if after >= last:
                return
        raise missing(account, after + 1)

    def raw_frame(self, account: str, seq: int) -> bytes | None:
        """The broker's exact bytes behind an input."""
        stored = next(self.read_stored(account, seq - 1, seq), None)
        return stored.raw if stored is not None else None

    def config(self, config_sha256: str) -> str | None:
        """The configuration text of this name."""
        return self._configs.get(config_sha256)

    def last_seq(self, account: str) -> int:
        """The seq of the last row."""
        return max(self._seqs, default=0) if account == self.account else 0
