"""Photos that a search found, as sentences and rows, and what the search was for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from facewatch.catalog import display
from facewatch.ids import label_of
from facewatch.text import plural

if TYPE_CHECKING:
    from pathlib import Path

    from facewatch.catalog.photos import DateSpan, FoundPhoto, PersonInPhoto, PhotoQuery, PhotoTotals
    from facewatch.folders.photos import LinkedPhotos, PhotoPlan
    from facewatch.people.photos.finder import OfflinePlaces


def query_words(query: PhotoQuery, names: Mapping[int, str]) -> str:
    """Return what was searched for, to stand behind "412 photos": " with Anna and Ben, since 2019"; "": everything.

    `names`: of the people that have one.
    """

    def label(person_id: int) -> str:
        return display(names.get(person_id) or label_of(person_id))

    groups = [_listed([label(one) for one in group], "or") for group in query.people]
    parts = [f"with {_listed(groups, 'and')}"] if groups else []
    parts += [f"without {_listed([label(one) for one in query.without], 'or')}"] if query.without else []
    parts += [_faces_words(query)] if query.least_faces or query.most_faces is not None else []
    parts += [f"of {_listed([_span_words(span) for span in query.taken], 'or')}"] if query.taken else []
    parts += [_span_words(query.within)] if query.within.first or query.within.last else []
    parts += [f"in {_listed([display(folder) for folder in query.folders], 'or')}"] if query.folders else []
    parts += ["without a date"] if query.is_undated else []
    parts += ["in no file any more"] if query.is_deleted else []
    return f" {', '.join(parts)}" if parts else ""


def _listed(items: list[str], word: str) -> str:
    return f"{', '.join(items[:-1])} {word} {items[-1]}" if len(items) > 1 else items[0]


def _faces_words(query: PhotoQuery) -> str:
    least, most = query.least_faces, query.most_faces
    if most is None:
        return f"showing {plural(least, 'face')} or more"
    if most == 0:
        return "showing no face"
    return f"showing {plural(least, 'face') if least == most else f'{least} to {most} faces'}"


def _span_words(span: DateSpan) -> str:
    if not span.last:
        return f"since {span.first}"
    if not span.first:
        return f"until {span.last}"
    return span.first if span.first == span.last else f"{span.first} to {span.last}"


def found_line(query: PhotoQuery, totals: PhotoTotals, names: Mapping[int, str]) -> str:
    """Return how many photos were found, and what was searched for."""
    n = plural(totals.n_photos, "photo") if totals.n_photos else "no photo"
    return n + query_words(query, names)


def totals_lines(totals: PhotoTotals) -> Iterator[str]:
    """Yield what a search leaves out, and how it is found."""
    if totals.n_deleted:
        them = "1 more is" if totals.n_deleted == 1 else f"{totals.n_deleted} more are"
        yield f"{them} in no file any more (deleted, or edited since): the word `deleted` finds them"
    if totals.n_undated:
        them = "1 more has" if totals.n_undated == 1 else f"{totals.n_undated} more have"
        yield f"{them} no date: the word `undated` finds them, without a year"


def offline_lines(n_offline: int, places: OfflinePlaces) -> Iterator[str]:
    """Yield that some of the photos cannot be opened now, and why."""
    if n_offline:
        them = "1 of them is" if n_offline == 1 else f"{n_offline} of them are"
        yield f"{them} offline:"
        yield from (f"  {display(place)}: {reason}" for place, reason in places.reasons.items())


PHOTO_COLUMNS = ("path", "photo_id", "taken_at", "n_faces", "people", "is_offline", "copies")
"""A promise to other programs."""


def photo_row(photo: FoundPhoto, offline: OfflinePlaces) -> dict[str, Any]:
    return {
        "photo_id": photo.id,
        "taken_at": photo.taken_at or None,
        "files": [file.path for file in photo.files],
        "people": [_person_row(person) for person in photo.people],
        "n_faces": photo.n_faces,
        "is_deleted": not photo.files,
        "is_offline": offline.is_offline(photo),
    }


def _person_row(person: PersonInPhoto) -> dict[str, Any]:
    return {"person_id": person.person_id, "name": person.label, "face_id": person.face_id}


def photo_cells(photo: FoundPhoto, offline: OfflinePlaces) -> tuple[object, ...]:
    """Return the row of a photo in CSV; several people, or copies, are separated by semicolons."""
    best = offline.best_file(photo)
    copies = ";".join(file.path for file in photo.files if file is not best)
    people = ";".join(dict.fromkeys(person.label for person in photo.people))
    is_offline = int(offline.is_offline(photo))
    return (best.path if best else "", photo.id, photo.taken_at, photo.n_faces, people, is_offline, copies)


def totals_row(totals: PhotoTotals, offline: OfflinePlaces) -> dict[str, Any]:
    return {
        "n_photos": totals.n_photos,
        "n_deleted": totals.n_deleted,
        "n_undated": totals.n_undated,
        "offline": dict(offline.reasons),
    }


# --- as a folder ---


def planned_line(root: Path, plan: PhotoPlan) -> str:
    n_links = len(plan.kept) + len(plan.made)
    return (
        f"{display(str(root))}: {plural(n_links, 'link')} would be there: {_changes(len(plan.made), len(plan.removed))}"
    )


def linked_line(root: Path, linked: LinkedPhotos) -> str:
    """Return what a folder of links has now, and what of that is new."""
    return f"{display(str(root))}: {plural(linked.n_links, 'link')}: {_changes(linked.n_made, linked.n_removed)}"


def _changes(n_made: int, n_removed: int) -> str:
    return f"{n_made} made, {n_removed} removed" if n_made or n_removed else "nothing to do"


# --- as tiles ---


@dataclass(frozen=True, slots=True)
class PhotoTile:
    """A photo in a list."""

    id: int
    label: str
    """What it is, for who cannot see it."""
    people: str
    mark: str
    """What keeps it from being opened; "": nothing."""
    heading: str | None
    """What stands above it and those behind it; None: that of the photo before it."""


def photo_tiles(photos: Iterable[FoundPhoto], offline: OfflinePlaces) -> list[PhotoTile]:
    """Return photos, the newest first, under headings of months."""
    return list(_tiles(photos, offline))


def _tiles(photos: Iterable[FoundPhoto], offline: OfflinePlaces) -> Iterator[PhotoTile]:
    before: str | None = None
    for photo in photos:
        month = datetime.fromisoformat(photo.taken_at).strftime("%B %Y") if photo.taken_at else "Without a date"
        people = ", ".join(dict.fromkeys(one.label for one in photo.people if one.is_named))
        mark = "deleted" if not photo.files else "offline" if offline.is_offline(photo) else ""
        label = ", ".join(filter(None, [photo.taken_at[:10], people or plural(photo.n_faces, "face"), mark]))
        yield PhotoTile(photo.id, label, people, mark, heading=None if month == before else month)
        before = month
