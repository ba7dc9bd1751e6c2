"""Which process is alive: pid numbers return after a reboot or a wrap, so the start time counts too."""

import os
import socket
from functools import cache
from pathlib import Path

PROC = Path("/proc")
_STATE, _START = 0, 19  # fields after the command name in /proc/<pid>/stat


def start_ticks(pid: int) -> int | None:
    """Clock ticks from boot to the start of this process, or None if it is gone or a zombie.

    A process that exists but may not be looked at counts as alive with start 0.
    """
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return 0 if _answers_signal(pid) else None
    # The command name may hold blanks and brackets, so count from its last closing bracket.
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[_STATE] in "ZXx" else int(fields[_START])


def started_at(pid: int) -> float | None:
    """Start as seconds since 1970 (about a second exact), or None if gone, a zombie or not readable."""
    ticks = start_ticks(pid)
    if not ticks:
        return None
    for line in (PROC / "stat").read_text().splitlines():
        if line.startswith("btime "):
            return int(line.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")
    return None


def command_of(pid: int) -> str:
    """The command line of a process, for messages."""
    try:
        return (
            (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        )
    except OSError:
        return "unknown command"


def _answers_signal(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@cache
def place() -> str:
    """Where pids of this process mean something: host, boot and pid namespace."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink(PROC / "self/ns/pid").partition("[")[2].rstrip("]")
    except OSError:
        # Without these a dead owner can never be proven; its lease then runs out by the clock.
        boot, namespace = "unknown", "unknown"
    return f"{socket.gethostname()} boot {boot} namespace {namespace}"


def owner_text(label: str = "") -> str:
    """Name this process for a lease, so that others on this machine can prove its death."""
    pid = os.getpid()
    text = f"{place()} pid {pid} start {start_ticks(pid) or 0}"
    return f"{text} {label}" if label else text


def is_provably_dead(owner: str) -> bool:
    """Whether `owner` (an `owner_text`) ran on this machine since its last boot and runs no more."""
    here, marker, rest = owner.partition(" pid ")
    words = rest.split()
    if not marker or here != place() or "unknown" in here or len(words) < 3 or words[1] != "start":
        return False
    pid, start = words[0], words[2]
    if not (pid.isascii() and pid.isdecimal() and start.isascii() and start.isdecimal()):
        return False
    now = start_ticks(int(pid))
    return now is None or 0 < now != int(start) > 0
