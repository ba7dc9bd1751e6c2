"""Months of a log as Parquet files outside the database: one file per month and account, read like any log.

A file holds every column of the rows with their links, recording times and raw frames, the configurations that they
name, and what comes before and after it, so that a folder of files verifies and folds without a database. A
checksum lies beside it. pyarrow (extra `archive`) is loaded with the first file.
"""

import fcntl
import os
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from functools import lru_cache
from hashlib import file_digest, sha256
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from msgspec import Struct

from eventlog.envelope import Envelope, Head, shard_of
from eventlog.errors import ArchiveBroken, ExtraMissing, UnknownAccount

FORMAT: Final = "oms-archive-1"
META: Final = b"oms_archive"
GROUP_ROWS: Final = 8192
"""Rows that are decoded at a time."""
LEVEL: Final = 9
SLUG_LIMIT: Final = 60
TIMES: Final = ("logical_time", "event_time", "received_at", "recorded_at")
RISING: Final = ("seq", "cause_seq", *TIMES)
REPEATED: Final = (
    "kind",
    "type",
    "version",
    "pipeline",
    "reason",
    "source",
    "trade_no",
    "trading_day",
    "shard",
    "account",
)
DAMAGE: Final = (OSError, ValueError, TypeError, KeyError, OverflowError)
ENVELOPE: Final = Envelope.__struct_fields__
COLUMNS: Final = ("shard", "account", *ENVELOPE, "chain", "raw", "recorded_at")


class Kept(Struct, frozen=True, gc=False):
    """A row as it is kept: all that the database has of it. `recorded_at` counts microseconds since 1970."""

    envelope: Envelope
    chain: bytes
    raw: bytes | None
    recorded_at: int


class Part(Struct, frozen=True, kw_only=True):
    """What a file says of itself. Links are hexadecimal; `before` is the link that its first row follows from.

    `epoch` is that of the account's head when the file was written, `configs` the texts that its rows name.
    """

    format: str = FORMAT
    account: str
    month: str
    first_seq: int
    last_seq: int
    before: str
    first_chain: str
    chain: str
    logical_time: int
    trading_day: str
    epoch: int = 0
    configs: dict[str, str] = {}


def part_path(folder: Path, account: str, month: date) -> Path:
    """Where the file of an account's month lies: a name that people can read and every file system can hold."""
    slug = re.sub(r"[^A-Za-z0-9.-]+", "_", account)[:SLUG_LIMIT].strip(".")
    return folder / f"{month:%Y-%m}" / f"{slug}-{sha256(account.encode()).hexdigest()[:12]}.parquet"


def sum_path(path: Path) -> Path:
    """Where the SHA-256 of a file is noted, so that no byte of it can change unseen."""
    return path.with_name(f"{path.name}.sha256")


def write_part(path: Path, part: Part, rows: Iterable[Kept]) -> None:
    """Write a file, whole and durable, or nothing. Raises OSError; ArchiveBroken if the rows are not the part's."""
    arrow, parquet = _arrow()
    schema = _schema(arrow)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, summed = path.with_name(f"{path.name}.partial"), path.with_name(f"{path.name}.sha256.partial")
    encodings = dict.fromkeys(RISING, "DELTA_BINARY_PACKED") | {"dedupe_key": "DELTA_BYTE_ARRAY"}
    count = 0
    alone = _alone(path.parent)
    try:
        with partial.open("wb") as file:
            writer = parquet.ParquetWriter(
                file, schema, compression="zstd", compression_level=LEVEL, use_dictionary=list(REPEATED),
                column_encoding=encodings, write_page_checksum=True, write_statistics=["seq"],
            )  # fmt: skip
            with writer:
                for block in _blocks(rows):
                    count += len(block)
                    writer.write_table(_table(arrow, schema, part.account, block), row_group_size=GROUP_ROWS)
                writer.add_key_value_metadata({META: msgspec.json.encode(part)})
            _durable(file)
        if count != part.last_seq - part.first_seq + 1:
            raise ArchiveBroken(
                f"{count} rows were read of events {part.first_seq} to {part.last_seq}", file=str(path)
            )
        # In the form of sha256sum. A file without it was not finished.
        with summed.open("w", encoding="utf-8") as file:
            file.write(f"{_sum(partial)}  {path.name}\n")
            _durable(file)
        sum_path(path).unlink(missing_ok=True)
        partial.replace(path)
        summed.replace(sum_path(path))
        for folder in (path.parent, path.parent.parent):
            _sync(folder)
    finally:
        partial.unlink(missing_ok=True)
        summed.unlink(missing_ok=True)
        os.close(alone)


class Archive:
    """The files of a folder, or one file: rows by account and seq. Nothing is ever written.

    Raises ArchiveBroken, with the file, for whatever cannot be read or does not follow.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self._arrow, self._parquet = _arrow()
        paths = [place] if place.is_file() else sorted(place.glob("*/*.parquet"))
        if not paths:
            raise ArchiveBroken(f"there is no archive in  {place}", file=str(place))
        self._parts: dict[str, list[tuple[Part, Path]]] = {}
        for path in paths:
            part = self._survey(path)
            self._parts.setdefault(part.account, []).append((part, path))
        for parts in self._parts.values():
            parts.sort(key=lambda one: one[0].first_seq)
        self._rows = lru_cache(2)(self._decoded)
        self._opened = lru_cache(2)(self._open)

    def close(self) -> None:
        """Close what was opened and forget what was read; reading on opens it again."""
        self._rows.cache_clear()
        self._opened.cache_clear()

    def accounts(self) -> list[str]:
        """The accounts of which something is kept, sorted."""
        return sorted(self._parts)

    def files(self, account: str) -> list[Path]:
        """The files of an account, oldest first."""
        return [path for _, path in self._parts.get(account, [])]

    def parts(self, account: str) -> list[Part]:
        """What the files of an account say of themselves, oldest first."""
        return [part for part, _ in self._parts.get(account, [])]

    def require_whole(self, account: str) -> None:
        """Compare every file of an account with its checksum, for a reader that knows none. Raises ArchiveBroken."""
        for path in self.files(account):
            with self._reading(path):
                self._opened(path)

    def head(self, account: str) -> Head | None:
        """Where the files of an account end."""
        parts = self.parts(account)
        if not parts:
            return None
        last = parts[-1]
        day = date.fromisoformat(last.trading_day)
        return Head(account, last.last_seq, bytes.fromhex(last.chain), last.epoch, last.logical_time, day)

    def config(self, config_sha256: str) -> str | None:
        """The configuration text of this name, if a row of a file names it."""
        texts = (part.configs.get(config_sha256) for name in self._parts for part in self.parts(name))
        return next((text for text in texts if text is not None), None)

    def read(self, account: str, after: int = 0, until: int | None = None) -> Iterator[Kept]:
        """Rows with after < seq <= until in seq order, all of them. Raises UnknownAccount."""
        parts = self._parts.get(account)
        if parts is None:
            raise UnknownAccount(f"there is no account {account} in the archive {self.place}")
        end = parts[-1][0].last_seq
        last = end if until is None else until
        expected = max(after, 0) + 1
        for part, path in parts:
            if part.last_seq < expected or expected > last:
                continue
            if part.first_seq > expected:
                break
            for row in self._of_part(part, path, expected, last):
                if row.envelope.seq != expected:
                    raise self._broken(path, f"event {expected} is missing or stands twice")
                yield row
                expected += 1
        if expected <= last:
            raise ArchiveBroken(
                f"the archive does not hold event {expected} of {account}\n"
                f"it has events {', '.join(f'{one.first_seq} to {one.last_seq}' for one, _ in parts)}; "
                "a month's file is missing, or stands twice",
                file=str(self.place),
            )

    def of_part(self, account: str, index: int) -> Iterator[Kept]:
        """All rows of one file."""
        part, path = self._parts[account][index]
        return self._of_part(part, path, part.first_seq, part.last_seq)

    def _of_part(self, part: Part, path: Path, first: int, last: int) -> Iterator[Kept]:
        with self._reading(path):
            groups = self._opened(path).num_row_groups
        for group in range((first - part.first_seq) // GROUP_ROWS, groups):
            if part.first_seq + group * GROUP_ROWS > last:
                return
            rows = self._rows(part.account, path, group)
            begin = bisect_left(rows, first, key=lambda row: row.envelope.seq)
            for row in rows[begin:]:
                if row.envelope.seq > last:
                    return
                yield row

    def _decoded(self, account: str, path: Path, group: int) -> list[Kept]:
        with self._reading(path):
            table = self._opened(path).read_row_group(group)
            if table.column_names != list(COLUMNS):
                raise ValueError("its columns are not those of an archive")
            owner = [table.column(name).unique().to_pylist() for name in ("shard", "account")]
            if owner != [[shard_of(account)], [account]]:
                raise ValueError(f"it holds rows of {owner[1]}")
            values = []
            for name in COLUMNS[2:]:
                column = table.column(name)
                values.append((column.cast(self._arrow.int64()) if name in TIMES else column).to_pylist())
            width = len(ENVELOPE)
            return [
                Kept(Envelope(*row[:width]), row[width], row[width + 1], row[width + 2])
                for row in zip(*values, strict=True)
            ]

    def _open(self, path: Path) -> Any:
        noted = sum_path(path).read_text(encoding="utf-8").split(" ")[0]
        if noted != _sum(path):
            raise ValueError("a byte of it was changed: its SHA-256 is not the one that was noted")
        return self._parquet.ParquetFile(path, page_checksum_verification=True)

    def _survey(self, path: Path) -> Part:
        with self._reading(path):
            with self._parquet.ParquetFile(path) as file:
                found = (file.metadata.metadata or {}).get(META)
                rows = file.metadata.num_rows
            part = msgspec.json.decode(found or b"{}", type=Part, strict=True)
            if part.format != FORMAT:
                raise ValueError(f"its format is {part.format!r}, this program reads {FORMAT!r}")
            if rows != part.last_seq - part.first_seq + 1:
                raise ValueError(f"it holds {rows} rows for events {part.first_seq} to {part.last_seq}")
            return part

    @contextmanager
    def _reading(self, path: Path) -> Iterator[None]:
        """What pyarrow raises for a damaged file is as many kinds of errors as there are places for damage."""
        try:
            yield
        except (self._arrow.ArrowException, msgspec.MsgspecError, *DAMAGE) as error:
            raise self._broken(path, f"{type(error).__name__}: {error}") from error

    def _broken(self, path: Path, why: str) -> ArchiveBroken:
        return ArchiveBroken(f"a file of the archive is not what was written\n{why}", file=str(path))


def is_archive(place: Path) -> bool:
    """Whether this path is an archive's, by its looks: a folder, or a Parquet file."""
    return place.is_dir() or place.suffix == ".parquet"


def _arrow() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise ExtraMissing(f"the archive needs the packages of the extra `archive`: {error}") from error


def _schema(arrow: Any) -> Any:
    time = arrow.timestamp("us", tz="UTC")
    kinds = {"seq": arrow.int64(), "cause_seq": arrow.int64(), "version": arrow.int16(), "shard": arrow.int16(),
             "trade_no": arrow.int32(),
             "trading_day": arrow.date32(), "chain": arrow.binary(32), "raw": arrow.binary()}  # fmt: skip
    kinds |= dict.fromkeys(TIMES, time)
    return arrow.schema([arrow.field(name, kinds.get(name, arrow.string())) for name in COLUMNS])


def _blocks(rows: Iterable[Kept]) -> Iterator[list[Kept]]:
    block: list[Kept] = []
    for row in rows:
        block.append(row)
        if len(block) == GROUP_ROWS:
            yield block
            block = []
    if block:
        yield block


def _table(arrow: Any, schema: Any, account: str, block: list[Kept]) -> Any:
    columns: Mapping[str, list[Any]] = {
        name: [getattr(row.envelope, name) for row in block] for name in ENVELOPE
    }
    own = {name: [getattr(row, name) for row in block] for name in ("chain", "raw", "recorded_at")}
    own |= {"shard": [shard_of(account)] * len(block), "account": [account] * len(block)}
    arrays = []
    for field in schema:
        values = own.get(field.name) or columns[field.name]
        if field.name in TIMES:
            # Whole microseconds stay whole; the years before 1970 too.
            arrays.append(arrow.array(values, arrow.int64()).cast(field.type))
        else:
            arrays.append(arrow.array(values, field.type))
    return arrow.Table.from_arrays(arrays, schema=schema)


def _alone(folder: Path) -> int:
    """Keep other exports out of a folder while its descriptor is open, whoever dies."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ArchiveBroken("another export is writing there; nothing was done", file=str(folder)) from None
    return descriptor


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _durable(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
