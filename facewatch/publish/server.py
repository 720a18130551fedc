"""The server that a copy is on: asked whether it can hold one, and its errors in words that say what to do."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from facewatch.errors import PublishError

if TYPE_CHECKING:
    import psycopg

    from facewatch.publish.address import Address

OLDEST = 16
"""The PostgreSQL that is needed, and the pgvector, which had no half precision before."""
OLDEST_VECTOR = (0, 7)

_PATIENCE = {
    "connect_timeout": 10,
    # A server that is silent for a minute is gone.
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 4,
    "tcp_user_timeout": 60_000,
}
"""What libpq would do without, unless the address says otherwise."""


_LIMITS = ("statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout")
"""What a server may have set for people who ask: an index takes minutes, and so may the catalog between two batches."""


def check_installed() -> None:
    """Raise a PublishError when there is no psycopg."""
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        python = shlex.quote(sys.executable)
        raise PublishError(
            f"publishing needs psycopg, the extra facewatch[postgres], which is not here ({error}): "
            f'{python} -m pip install "psycopg[binary]"'
        ) from error


def connect(address: Address) -> psycopg.Connection[Any]:
    """Return a connection on which each statement is a transaction, unless one is begun.

    Raises:
        PublishError: nobody answers, or refuses; or the server cannot hold a copy.
    """
    import psycopg

    # It warns of what follows from a lost connection, which is said as an error of ours.
    logging.getLogger("psycopg").addHandler(logging.NullHandler())
    try:
        connection = psycopg.connect(
            **{**_PATIENCE, "fallback_application_name": "facewatch publish", **address.options},
            client_encoding="utf8",
            autocommit=True,
        )
        for limit in _LIMITS:
            connection.execute(f"SET {limit} = 0".encode())
    except (psycopg.Error, UnicodeError) as error:
        raise PublishError(
            f"{address.shown}: {_first_line(address, error)}; is the server running, and are name, port, user and "
            "password right?"
        ) from None
    try:
        with clear_errors(address):
            check(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


def check(connection: psycopg.Connection[Any], address: Address) -> None:
    """Raise a PublishError when the server cannot hold a copy, whatever is installed on it."""
    version = connection.info.server_version // 10_000
    if version < OLDEST:
        raise PublishError(f"{address.shown}: PostgreSQL {version} is too old; {OLDEST} or newer is needed")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise PublishError(
            f"{address.shown}: the database keeps text as {encoding}, which not every name can be written in; make one "
            "with: CREATE DATABASE faces ENCODING 'UTF8' TEMPLATE template0"
        )
    if connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
        raise PublishError(f"{address.shown}: a standby, which is only read; name the server that it follows")


def have_vector(connection: psycopg.Connection[Any], address: Address, *, may_make: bool) -> str | None:
    """Return the schema in which pgvector is, made where there is none and it may be; None: it would be.

    Raises:
        PublishError: the server has none, or one that is too old, or the user may not make it.
    """
    import psycopg

    found = connection.execute(
        "SELECT n.nspname, e.extversion FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
        " WHERE e.extname = 'vector'"
    ).fetchone()
    if found is None:
        if not connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'").fetchone():
            version = connection.info.server_version // 10_000
            raise PublishError(
                f"{address.shown}: the server has no pgvector; install it there (Debian and Ubuntu: apt install "
                f"postgresql-{version}-pgvector)"
            )
        if not may_make:
            return None
        try:
            connection.execute("CREATE EXTENSION vector")
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidSchemaName):
            raise PublishError(
                f"{address.shown}: pgvector is installed on the server, but not in this database, and "
                f"{connection.info.user} may not add it; an administrator does: CREATE EXTENSION vector"
            ) from None
        return have_vector(connection, address, may_make=False)
    schema, text = found
    if tuple(int(part) for part in text.split(".")[:2]) < OLDEST_VECTOR:
        raise PublishError(
            f"{address.shown}: pgvector {text} is too old, 0.7 or newer is needed; an administrator updates it: ALTER "
            "EXTENSION vector UPDATE"
        )
    return str(schema)


@contextmanager
def clear_errors(address: Address) -> Iterator[None]:
    """Say what the server's errors mean, without any password."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise PublishError(f"{address.shown}: {_meaning(address, error)}") from None


def _meaning(address: Address, error: psycopg.Error) -> str:
    from psycopg import errors

    text = _first_line(address, error)
    match error:
        case errors.InsufficientPrivilege():
            return f"{text}; an administrator allows it, or you publish as the user that made the copy"
        case errors.DiskFull():
            return (
                f"the server's disk is full ({text}); make room there, then publish again: it goes on where it stopped"
            )
        case errors.ReadOnlySqlTransaction():
            return f"the database takes no changes ({text}); name one that does"
        case errors.DependentObjectsStillExist() | errors.FeatureNotSupported():
            return f"{text}: somebody made views of the copy; drop them there, publish, and make them again"
        case _ if error.sqlstate is None or error.sqlstate[:2] in ("08", "57"):
            return f"the connection ended ({text}); what was sent stands: publish again, and it goes on"
    return f"{text}; nothing of the catalog was changed: publish again, with --rebuild where that does not help"


def _first_line(address: Address, error: Exception) -> str:
    lines = [line.strip() for line in address.without_secrets(str(error)).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
