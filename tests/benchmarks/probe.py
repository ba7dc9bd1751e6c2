"""A process that recovers or verifies one log and says what that weighed: `python -m tests.benchmarks.probe`."""

import gc
import json
import resource
import sys
import tracemalloc
from decimal import localcontext
from pathlib import Path

from msgspec.structs import replace

from eventlog.postgres import PostgresLog
from oms.book import Book
from oms.shell.recovery import recover
from oms.values import CONTEXT
from replay.verify import verify

STATUS = Path("/proc/self/status")


def resident_bytes(field: str) -> int:
    """A line of the kernel's account of this process (VmRSS, VmHWM); elsewhere than on Linux the peak for both."""
    if STATUS.exists():
        for line in STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def open_orders(book: Book) -> int:
    """How many orders may still execute."""
    return sum(order.is_live for pipeline in book.pipelines.values() for order in pipeline.orders.values())


def drop_open_orders(book: Book) -> None:
    """Forget all open orders and the ids that lead to them; the rest of the state stays."""
    for name, pipeline in list(book.pipelines.items()):
        orders = {own: order for own, order in pipeline.orders.items() if not order.is_live}
        aliases = {alias: own for alias, own in pipeline.aliases.items() if own in orders}
        book.pipelines[name] = replace(pipeline, orders=orders, aliases=aliases)


def main(conninfo: str, account: str, until: str, what: str) -> None:
    """Print one JSON object."""
    log = PostgresLog(conninfo)
    seen: dict[str, float] = {}
    with localcontext(CONTEXT):
        if what == "replayed":
            found = verify(log, account, int(until))
            assert found.is_identical, found.why
        else:
            if what == "traced":
                tracemalloc.start()
            book = recover(log, account, int(until))
            gc.collect()
            seen["open_orders"] = open_orders(book)
            seen["resident_bytes"] = resident_bytes("VmRSS")
            if what == "traced":
                before = tracemalloc.get_traced_memory()[0]
                drop_open_orders(book)
                gc.collect()
                freed = before - tracemalloc.get_traced_memory()[0]
                seen["open_order_bytes"] = freed / seen["open_orders"]
                seen["state_bytes"] = before / seen["open_orders"]
    seen["peak_bytes"] = resident_bytes("VmHWM")
    log.close()
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
