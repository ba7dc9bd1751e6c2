"""A whole log as one file, to be sent to somebody: one JSON object per line, complete enough to verify.

The first line says whose log it is and where it ends, then come configurations and rows in seq order. A row holds
its columns, its chain link in hex and, where there is one, the broker's exact frame in base64; times are
microseconds since 1970 UTC and the body is a text, because the chain covers its bytes. The form is read again by
`replay.logfile`, and by anything that reads JSON.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from eventlog.envelope import Envelope
from eventlog.errors import UnknownAccount
from eventlog.log import EventLog, StoredRow
from eventlog.verify import CONFIG_EVENT

FORMAT: Final = "oms-log-1"
PROGRESS_ROWS: Final = 4096


def export(
    log: EventLog,
    account: str,
    path: Path,
    until: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write the rows 1..until (default: all) of an account and return their number. Raises UnknownAccount."""
    head = log.head(account)
    if head is None:
        raise UnknownAccount(f"there is no account {account} in this log")
    last = head.seq if until is None else min(until, head.seq)
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(_lines(log, account, last, head.epoch)):
                file.write(line + "\n")
                if progress is not None and number and number % PROGRESS_ROWS == 0:
                    progress(PROGRESS_ROWS)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return last


def _lines(log: EventLog, account: str, last: int, epoch: int) -> Iterator[str]:
    yield _text({"format": FORMAT, "account": account, "rows": last, "epoch": epoch})
    written: set[str] = set()
    for stored in log.read_stored(account, 0, last):
        row = stored.envelope
        if row.type == CONFIG_EVENT:
            name = str(msgspec.json.decode(row.body).get("config_sha256"))
            text = log.config(name)
            if text is not None and name not in written:
                written.add(name)
                yield _text({"config_sha256": name, "config": text})
        yield _text(_fields(stored))


def _fields(stored: StoredRow) -> dict[str, Any]:
    row = stored.envelope
    fields: dict[str, Any] = {name: getattr(row, name) for name in Envelope.__struct_fields__}
    fields["trading_day"] = row.trading_day.isoformat()
    fields = {name: value for name, value in fields.items() if value is not None}
    fields["chain"] = stored.chain.hex()
    if stored.raw is not None:
        fields["raw"] = b64encode(stored.raw).decode()
    return fields


def _text(fields: dict[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
