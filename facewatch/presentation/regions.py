"""What files say about people, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Any

from facewatch import ids
from facewatch.people.lookup import faces_at
from facewatch.people.named_faces import Trouble
from facewatch.presentation import local_time
from facewatch.presentation.sidecars import ANSWERS
from facewatch.text import plural

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.people.lookup import FaceAt
    from facewatch.people.regions_in import Conflict, SaidCounts
    from facewatch.people.regions_out import SidecarCounts

_KINDS = {
    "sidecar": "sidecars (XMP)",
    "embedded": "photos themselves",
    "picasa": "Picasa",
    "takeout": "Google Takeout",
}


@dataclass(frozen=True, slots=True)
class ShownConflict:
    """A name that was not taken over, and where its face is."""

    conflict: Conflict
    at: FaceAt

    @property
    def file(self) -> str:
        return self.at.file or ""


def shown_conflicts(catalog: Catalog, conflicts: Sequence[Conflict]) -> list[ShownConflict]:
    places = {at.id: at for at in faces_at(catalog, [one.face_id for one in conflicts])}
    shown = [ShownConflict(one, places[one.face_id]) for one in conflicts if one.face_id in places]
    return sorted(shown, key=lambda one: (one.file, one.at.number))


def conflict_lines(shown: Iterable[ShownConflict]) -> Iterator[str]:
    """Yield a line for each photo, with what settles it."""
    for one in shown:
        conflict = one.conflict
        names = " or ".join(conflict.names)
        who = conflict.who or "nobody"
        because = {
            Trouble.NAMES_DIFFER: f"files disagree: {names}; here it is {who}",
            Trouble.TWO_FACES: f"{names} is on two faces of this photo; here it is {who}",
            Trouble.USER: f"{names} by a file; you said otherwise, and it stays {who}",
        }[conflict.trouble]
        face = ids.face(conflict.face_id)
        yield f"{one.file}: face {face}: {because}. facewatch assign {face} {quote(conflict.names[0])}"


def regions_facts(counts: SaidCounts, n_conflicts: int, sidecars: SidecarCounts) -> list[tuple[str, str]]:
    said = [f"{n} by {_KINDS[kind]}" for kind, n in counts.n_by_kind.items()]
    return [
        ("photos with people named", ", ".join(said) or "none"),
        ("faces named by files", str(counts.n_taken)),
        ("not taken over", f"{plural(n_conflicts, 'name')}: facewatch regions --conflicts" if n_conflicts else "none"),
        ("cannot be read", plural(counts.n_damaged, "file") if counts.n_damaged else "none"),
        ("written", written(sidecars)),
    ]


def written(counts: SidecarCounts) -> str:
    """Return how many sidecars were written, and what became of the others."""
    last = f", the last {local_time(counts.last_written)}" if counts.last_written else ""
    parts = [f"{plural(counts.n_written, 'sidecar') if counts.n_written else 'no sidecars'}{last}"]
    if counts.n_asked:
        parts.append(f"names are gone from {counts.n_asked}: {ANSWERS}")
    if counts.n_left:
        parts.append(f"names are left out of {counts.n_left}")
    if counts.n_damaged:
        parts.append(f"{counts.n_damaged} cannot be used")
    return "; ".join(parts)


def sidecar_row(counts: SidecarCounts) -> dict[str, Any]:
    return {
        "written": counts.n_written,
        "last_written": counts.last_written,
        "asked": counts.n_asked,
        "left_out": counts.n_left,
        "damaged": counts.n_damaged,
    }


def regions_row(counts: SaidCounts, shown: Iterable[ShownConflict], sidecars: SidecarCounts) -> dict[str, Any]:
    return {
        "photos": dict(counts.n_by_kind),
        "faces_taken": counts.n_taken,
        "damaged_files": counts.n_damaged,
        "sidecars": sidecar_row(sidecars),
        "conflicts": [
            {
                "path": one.at.file,
                "face_id": one.at.id,
                "names": list(one.conflict.names),
                "why": str(one.conflict.trouble),
                "name": one.conflict.who,
            }
            for one in shown
        ],
    }
