"""Whether a lease's owner lives: a pid alone proves nothing."""

import os
import subprocess
import sys

import pytest

from eventlog.processes import is_provably_dead, owner_text, place, start_ticks, started_at


def test_own_process_is_alive() -> None:
    assert start_ticks(os.getpid())
    assert not is_provably_dead(owner_text())
    assert not is_provably_dead(owner_text("worker 3"))


def test_start_is_in_the_past() -> None:
    parent, child = started_at(os.getppid()), started_at(os.getpid())
    assert parent is not None
    assert child is not None
    assert parent <= child


def test_ended_process_is_dead_before_and_after_it_is_reaped() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = f"{place()} pid {child.pid} start {start_ticks(child.pid)}"
    assert not is_provably_dead(owner)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # Leaves a zombie.
    assert start_ticks(child.pid) is None
    assert is_provably_dead(owner)
    child.communicate()
    assert is_provably_dead(owner)


def test_reused_pid_is_dead() -> None:
    assert is_provably_dead(f"{place()} pid {os.getpid()} start {(start_ticks(os.getpid()) or 0) + 1}")


@pytest.mark.parametrize("owner", [
    "", "me", "pid 4194305 start 1", f"{place()} pid x start 1", f"{place()} pid 4194305", f"{place()} pid ² start 1",
    f"{place()} pid 4194305 begin 1", f"other {place()} pid 4194305 start 1",
])  # fmt: skip
def test_unreadable_owner_is_never_dead(owner: str) -> None:
    assert not is_provably_dead(owner)
