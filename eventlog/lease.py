"""Who may write an account: a row with owner, epoch and an end by the database's clock.

The lease only decides who may try. Safety is the epoch in the head, which every append compares: a clock
that is wrong can cost availability, never the log.
"""

from typing import Any

import psycopg

from eventlog import failpoints, queries
from eventlog.chain import genesis
from eventlog.envelope import Head, shard_of
from eventlog.errors import Fenced, LeaseHeld
from eventlog.processes import is_provably_dead

FREE = ""
TTL_S = 10.0
Connection = psycopg.Connection[Any]


def acquire(connection: Connection, account: str, owner: str, ttl_s: float) -> tuple[Any, ...]:
    """Take the lease, raise the head's epoch in one transaction, return the head. Raises LeaseHeld."""
    key = (shard_of(account), account)
    with connection.transaction():
        connection.execute(queries.CREATE_HEAD, (*key, genesis(account)))
        connection.execute(queries.CREATE_LEASE, (*key, FREE))
        held = connection.execute(queries.LEASE_FOR_UPDATE, key).fetchone()
        if held:
            holder, runs, until = held
            refuse_held(account, holder, owner, f"until {until} by the database's clock" if runs else None)
        head: tuple[Any, ...] | None = connection.execute(queries.RAISE_EPOCH, key, binary=True).fetchone()
        assert head is not None
        connection.execute(queries.TAKE_LEASE, (owner, head[3], ttl_s, *key))
        failpoints.reach("lease.taking")
    failpoints.reach("lease.taken")
    return head


def refuse_held(account: str, holder: str, owner: str, runs: str | None) -> None:
    """Raise LeaseHeld unless the lease is free, run out, our own or its owner is provably dead.

    `runs` says how long the lease still runs; None if it ran out.
    """
    if runs and holder not in (FREE, owner) and not is_provably_dead(holder):
        raise LeaseHeld(
            f"account {account} is written by {holder}, {runs}; stop that writer or wait", owner=holder
        )


def renew(connection: Connection, head: Head, ttl_s: float) -> None:
    """Prolong the lease of this epoch. Raises Fenced when a later one has it, be it the same owner's."""
    failpoints.reach("lease.renewing")
    values = (ttl_s, shard_of(head.account), head.account, head.epoch)
    if connection.execute(queries.RENEW_LEASE, values).rowcount == 0:
        raise lost(head)
    failpoints.reach("lease.renewed")


def release(connection: Connection, head: Head) -> None:
    """Give the lease back, if it is still that of this epoch."""
    connection.execute(queries.RELEASE_LEASE, (FREE, shard_of(head.account), head.account, head.epoch))
    failpoints.reach("lease.released")


def lost(head: Head) -> Fenced:
    """What a writer is told whose lease has gone to another epoch, or was given back."""
    return Fenced(f"epoch {head.epoch} no longer holds the lease of account {head.account}")
