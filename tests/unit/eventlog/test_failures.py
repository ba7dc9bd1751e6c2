"""What an error of the driver means: the server is away, or something else that waiting does not cure."""

import psycopg
import pytest

from eventlog.errors import DatabaseAway, LogError
from eventlog.failures import is_away, translated


@pytest.mark.parametrize("kind", [psycopg.OperationalError, psycopg.DatabaseError])
def test_broken_line_without_a_state_is_away(kind: type[psycopg.Error]) -> None:
    """A server killed under load: libpq reports the end of the line, and may call the connection good."""
    error = kind("server closed the connection unexpectedly")
    assert is_away(error)
    assert isinstance(translated(error, "a/b/c"), DatabaseAway)


@pytest.mark.parametrize(
    "kind", [psycopg.InterfaceError, psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError]
)
def test_misuse_of_the_driver_is_not_away(kind: type[psycopg.Error]) -> None:
    assert not is_away(kind("misuse"))
    assert type(translated(kind("misuse"), "a/b/c")) is LogError
