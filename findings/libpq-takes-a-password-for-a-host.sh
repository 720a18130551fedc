#!/bin/sh
# psycopg 3.3.9 with its binary libpq, December 2026.
#
# Guess: an address whose password has an @ or / that is not escaped is refused as no address.
# libpq reads it, and takes parts of the password for a host, a port or a database: whoever prints "the address without
# its password" then prints those, and so does libpq's own message about the host that it cannot find.
#
# Seen:
#   postgresql://me:s3/cret@db/photos -> host me, port s3, dbname cret@db/photos
#   postgresql://me:s3@cret@db/photos -> user me, password s3, host cret@db, dbname photos
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'psycopg[binary]==3.3.9'
"$folder/venv/bin/python" - <<'PY'
from psycopg.conninfo import conninfo_to_dict


def read(address):
    options = conninfo_to_dict(address)
    print(f"{address} -> {', '.join(f'{name} {value}' for name, value in options.items())}")
    return options


assert read("postgresql://me:s3/cret@db/photos") == {"host": "me", "port": "s3", "dbname": "cret@db/photos"}
assert read("postgresql://me:s3@cret@db/photos")["host"] == "cret@db"
PY
