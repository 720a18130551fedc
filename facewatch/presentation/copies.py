"""Which copies for readers there are, and what they still show."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from facewatch.presentation import local_time
from facewatch.publish.address import DEFAULT_SCHEMA
from facewatch.text import printable

if TYPE_CHECKING:
    from facewatch.catalog.published import Target


def place(address: str, schema: str) -> str:
    """Return where a copy is."""
    return printable(f"{address}, schema {schema}")


def choices(targets: Sequence[Target]) -> str:
    """Return which addresses there are to choose from."""
    commands = (publish_command(one) for one in targets)
    return (
        "name one of: " + ", ".join(commands) if targets else "name one: facewatch publish postgresql://HOST/DATABASE"
    )


def publish_command(target: Target) -> str:
    schema = "" if target.schema == DEFAULT_SCHEMA else f" --schema {shlex.quote(target.schema)}"
    return f"`facewatch publish {shlex.quote(target.address)}{schema}`"


def still_there(targets: Sequence[Target]) -> Iterator[str]:
    """Yield where somebody who was forgotten is still shown, and until when."""
    for one in targets:
        since = (
            f"as published {local_time(one.published_at)}" if one.published_at else "of which not all was published yet"
        )
        yield (
            f"the copy for readers {since} ({place(one.address, one.schema)}) still holds them until the next "
            f"{publish_command(one)}"
        )


def still_there_on_page(targets: Sequence[Target]) -> str:
    """Return the same for somebody who types no commands."""
    if not targets:
        return ""
    return (
        f"; {' and '.join(place(one.address, one.schema) for one in targets)}: still there until it is published again"
    )
