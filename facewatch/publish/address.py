"""Addresses of databases, as libpq takes them, and the same without anything secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from facewatch.errors import PublishError

DEFAULT_SCHEMA = "facewatch"
DEFAULT_READER = "facewatch_reader"
"""Where the copy is, and which role may read it, if nobody says otherwise."""

_SECRETS = ("password", "sslpassword")
_EXAMPLE = "postgresql://USER@HOST/DATABASE"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is."""

    options: Mapping[str, Any] = field(repr=False)
    """As libpq calls them; with the password, where the address has one."""
    shown: str
    """For people and for the catalog: without any."""
    secrets: tuple[str, ...] = field(repr=False)
    """What must not be in any text."""

    def without_secrets(self, text: str) -> str:
        """Return a text of others, in which no password of the address stands."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def read_address(text: str) -> Address:
    """Return what an address says: a URL, or `host=... dbname=...`.

    Raises:
        PublishError: it is none; the message repeats nothing of it, since any part may be part of a password.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        options = conninfo_to_dict(text)
    except ProgrammingError:
        options = {}
    if not options or _may_be_misread(text, options):
        raise PublishError(
            f"that is no address of a PostgreSQL database; it looks like {_EXAMPLE}. In a password, / @ : and % are "
            "written %2F %40 %3A %25; better, it stands in ~/.pgpass or PGPASSWORD"
        ) from None
    secrets = tuple(str(options[key]) for key in _SECRETS if options.get(key))
    return Address(options, _shown({key: value for key, value in options.items() if key not in _SECRETS}), secrets)


def _may_be_misread(text: str, options: Mapping[str, Any]) -> bool:
    """Whether part of a password may have been taken for a host or a name, because an @ or / in it is not escaped."""
    scheme, is_url, rest = text.partition("://")
    before, _, _ = rest.partition("?")
    who, at, where = before.partition("@")
    is_odd = bool(at) and ("/" in who or "@" in where)
    port = str(options.get("port") or "")
    return bool(is_url and scheme and is_odd) or (not port.replace(",", "").isdigit() and bool(port))


def _shown(options: Mapping[str, Any]) -> str:
    """Return a URL that says the same."""
    rest = dict(options)
    user, host, port, name = (str(rest.pop(key, "") or "") for key in ("user", "host", "port", "dbname"))
    if "," in host + port or host.startswith(("/", "@")):
        rest = {key: value for key, value in (("host", host), ("port", port)) if value} | rest
        host = port = ""
    host = f"[{host}]" if ":" in host else quote(host)
    who = f"{quote(user, safe='')}@" if user else ""
    query = f"?{urlencode(rest, safe='/,')}" if rest else ""
    return f"postgresql://{who}{host}{f':{port}' if port else ''}/{quote(name, safe='')}{query}"
