"""What publishing does, in sentences and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from facewatch.publish.copy import Rights
from facewatch.publish.publisher import Way
from facewatch.text import plural, printable

if TYPE_CHECKING:
    from facewatch.publish.publisher import Plan, Published

_WAYS = {
    Way.ALL: "there is no copy yet: all is sent",
    Way.REBUILT: "the copy is dropped, and all is sent again",
    Way.COMPARED: "the catalog does not know what is there (was it restored from a backup?): all is compared",
    Way.CONTINUED: "the last publish was cut: what is missing is sent",
    Way.CHANGES: "what has changed since the last publish is sent",
}


def planned_lines(where: str, plan: Plan) -> Iterator[str]:
    """Yield what a publish would do."""
    yield f"{where}: {_WAYS[plan.way]}"
    for name, n in plan.rows.items():
        if n:
            yield f"  {name}: {plural(n, 'row')}"
    yield f"{plural(sum(plan.rows.values()), 'row')} would be sent"


def published_lines(where: str, done: Published, reader: str) -> Iterator[str]:
    """Yield what a publish did."""
    n, n_removed = sum(done.written.values()), sum(done.removed.values())
    index = f", {done.index_seconds:.1f} s of them for indexes" if done.is_index_made else ""
    took = f" in {done.seconds:.1f} s{index}"
    yield f"{where}: " + (
        f"{plural(n, 'row')} written, {n_removed} removed,{took}" if n or n_removed else f"as the catalog is{took}"
    )
    if done.way is Way.COMPARED:
        yield _WAYS[Way.COMPARED]
    if done.rights is Rights.NO_ROLE:
        yield (
            f"only you can read it: there is no role {printable(reader)}, and you may not make one. An administrator "
            f"does: CREATE ROLE {printable(reader)} NOLOGIN; the next publish gives it the right to read"
        )


def dropped_line(where: str, *, was_there: bool) -> str:
    return f"{where}: {'dropped' if was_there else 'there was no copy'}"


def struck_line(where: str) -> str:
    return f"{where}: no longer on record; if there is a copy, it stays as it is"


def plan_row(address: str, schema: str, plan: Plan) -> dict[str, Any]:
    return {"address": address, "schema": schema, "way": plan.way.value, "rows": dict(plan.rows)}


def published_row(address: str, schema: str, done: Published) -> dict[str, Any]:
    return {
        "address": address,
        "schema": schema,
        "way": done.way.value,
        "written": dict(done.written),
        "removed": dict(done.removed),
        "is_index_made": done.is_index_made,
        "may_readers_read": None if done.rights is None else done.rights is Rights.GIVEN,
        "published_at": done.published_at,
        "journal_id": done.journal_id,
        "seconds": round(done.seconds, 3),
        "index_seconds": round(done.index_seconds, 3),
    }
