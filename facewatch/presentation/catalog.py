"""What the catalog holds, in tables and as JSON: people, faces that are alike, engines; and its backups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facewatch import ids
from facewatch.catalog import display
from facewatch.models.packs import megabytes
from facewatch.presentation import local_time
from facewatch.text import beside_strangers, plural, printable

if TYPE_CHECKING:
    from facewatch.catalog import Catalog, Person
    from facewatch.catalog.engines import KnownEngine
    from facewatch.catalog.restore import GivenUp
    from facewatch.folders.restore import Restorable, Restored
    from facewatch.models.packs import KnownPack
    from facewatch.people.identities import Alike
    from facewatch.people.search import NearFaces

_MOST_NAMES = 8
"""Names that would be lost, listed in the question."""

# --- what `export` prints ---

EXPORT_COLUMNS = ("path", "face_id", "person_id", "name", "x", "y", "w", "h", "distance", "source", "turn")
"""A promise to other programs."""


def export_rows(catalog: Catalog) -> Iterator[tuple[object, ...]]:
    """Yield a row a face and file, then one for each file of a photo and who is in it without a face; "": unknown."""
    for row in catalog.faces.export_rows():
        yield tuple("" if value is None else value for value in row)
    for path, person_id, name in catalog.presences.export_rows():
        known = {"path": path, "person_id": person_id, "name": name, "source": "present"}
        yield tuple(known.get(column, "") for column in EXPORT_COLUMNS)


# --- people ---

PEOPLE_HEADER = ("id", "name", "faces", "photos", "folder")


def person_row(person: Person, people_folder: Path) -> dict[str, Any]:
    return {
        "id": person.id,
        "name": person.label,
        "faces": person.n_faces,
        "photos": person.n_photos,
        "folder": str(people_folder / person.folder) if person.folder else "",
        "is_named": person.name is not None,
        "is_hidden": person.is_hidden,
        "born": person.born,
        "cover": person.cover_id,
    }


def person_cells(person: Person, people_folder: Path) -> tuple[object, ...]:
    folder = str(people_folder / person.folder) if person.folder else ""
    where = "(hidden)" if person.is_hidden else folder
    return ids.person(person.id), person.label, person.n_faces, person.n_photos, where


def portrait_label(person: Person) -> str:
    """Return what stands under somebody's face."""
    name = "" if person.name is None else f" {display(person.name)}"
    return f"{ids.person(person.id)}{name}\n{plural(person.n_photos, 'photo')}\n"


def people_drawn(n: int, most: int) -> str:
    """Return whose faces were shown, at most so many of n, and how to see more."""
    everyone = plural(n, "person", "people")
    shown = f"{most} of {everyone}: facewatch people -n {n} draws all," if n > most else f"{everyone}: facewatch people"
    return f"{shown} --table lists them,\n--contact-sheet writes a page for a browser"


def most_photos(n: int, n_shown: int) -> str:
    """Return what stands above those of n people who are on most photos."""
    return plural(n, "person", "people") + (", most photos are of:" if n > n_shown else ":")


def person_line(person: Person) -> str:
    return f"  {ids.person(person.id):<6} {person.label:<24} {plural(person.n_photos, 'photo')}"


ALIKE_HEADER = ("id", "name", "id", "looks like", "nearest faces", "stricter by", "similarity")


def alike_cells(pair: Alike) -> tuple[object, ...]:
    one, other = ids.person(pair.person_id), ids.person(pair.other_id)
    similarity = beside_strangers(pair.evidence.similarity, pair.evidence.strangers) if pair.evidence else "-"
    return one, pair.name, other, pair.other_name, pair.distance, pair.stricter, similarity


# --- faces that are alike ---

NEAR_HEADER = ("rank", "person", "distance", "face", "photo")


def near_title(photo: Path, face: NearFaces) -> str:
    """Return which face of a photo it is."""
    known = [ids.face(face.face_id)] if face.face_id is not None else []
    known += [printable(face.person)] if face.person else []
    who = f" ({', '.join(known)})" if known else ""
    return f"{printable(str(photo))}, face {face.number}{who}:"


def near_cells(face: NearFaces) -> list[tuple[object, ...]]:
    """Return a row for each face that was found, and one where they are no longer near enough."""
    rows: list[tuple[object, ...]] = [
        (one.rank, one.person or "nobody", one.distance, ids.face(one.face_id), f"{one.photo}:{one.number}")
        for one in face.found
    ]
    if rows and face.near_enough is not None:
        end = sum(one.distance < face.near_enough for one in face.found)
        rows.insert(end, ("", "-- near enough ends --", face.near_enough, "", ""))
    return rows


# --- engines ---

ENGINES_HEADER = ("engine", "in use", "dimension", "photos", "vectors", "MB", "licence")


def engine_row(engine: KnownEngine) -> dict[str, Any]:
    return asdict(engine) | {"n_bytes": engine.n_bytes}


def engine_cells(engine: KnownEngine) -> tuple[object, ...]:
    in_use, size = "yes" if engine.is_in_use else "", f"{engine.n_bytes / 1e6:.1f}"
    return engine.name, in_use, engine.n_dims, engine.n_photos, engine.n_faces, size, engine.licence


def better_pack(pack: KnownPack, *, is_here: bool) -> str:
    """Return what a better engine costs, and how to get it."""
    change = f"  facewatch scan --engine insightface:{pack.name}"
    if is_here:
        return (
            f"insightface:{pack.name} is here and tells people apart far better\n"
            f"(for non-commercial research only):\n{change}"
        )
    return (
        f"insightface:{pack.name} tells people apart far better: a download of {megabytes(pack.archive.size)},\n"
        "for non-commercial research only; names and decisions stay:\n"
        f"  facewatch models fetch {pack.name}\n{change}"
    )


# --- backups ---


def before_restoring(found: Restorable) -> Iterator[str]:
    """Yield what is restored, and what is given up by that."""
    backup = found.backup
    when = f", taken {local_time(backup.made_at)}" if backup.made_at else ""
    yield (
        f"{backup.path}{when}: {plural(backup.n_photos, 'photo')}, {plural(backup.n_faces, 'face')}, "
        f"{plural(backup.n_people, 'person', 'people')}, {backup.n_named} with a name"
    )
    if found.fault is not None:
        yield f"the present catalog cannot be read ({found.fault}); it is kept aside"
    elif found.given_up is None:
        yield "there is no catalog now"
    else:
        yield from losses(found.given_up)


def losses(given_up: GivenUp) -> Iterator[str]:
    """Yield what is given up, and what comes back, a line each kind."""
    if given_up.n_decisions is None:
        yield "the present catalog does not descend from this backup: all that was decided in it is given up"
    else:
        is_or_are = "is" if given_up.n_decisions == 1 else "are"
        yield f"{plural(given_up.n_decisions, 'decision')} made since then {is_or_are} given up"
    for names, what in ((given_up.names, "given up"), (given_up.names_back, "back")):
        if names:
            more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
            listed = f"the names {', '.join(names[:_MOST_NAMES])}{more} are"
            yield f"{f'the name {names[0]} is' if len(names) == 1 else listed} {what}"
    if given_up.engine != given_up.engine_back:
        yield f"the engine is {given_up.engine_back or 'none'} again, not {given_up.engine or 'none'}"
    if given_up.n_photos:
        yield f"{plural(given_up.n_photos, 'photo')} that came since: found again by the next `facewatch scan`"
    if given_up.n_links or given_up.n_links_back:
        yield f"people folder: links that go: about {given_up.n_links}; that come back: about {given_up.n_links_back}"


def restored_row(done: Restored) -> dict[str, Any]:
    return {
        "catalog": str(done.catalog),
        "given_up": asdict(done.given_up) if done.given_up else None,
        "kept": str(done.kept) if done.kept else None,
        "contradictions": list(done.contradictions),
        "left": [str(path) for path in done.left],
        "n_links_made": done.n_links_made,
        "n_links_removed": done.n_links_removed,
        "folder_fault": done.folder_fault,
    }


def restored_lines(done: Restored, *, with_losses: bool) -> Iterator[str]:
    """Yield what was done; `with_losses`: also what was given up, which the question said where one was asked."""
    yield f"{done.catalog}: restored"
    if done.given_up and with_losses:
        yield from losses(done.given_up)
    if done.kept:
        yield f"the catalog that was there is kept: {done.kept}"
    if done.contradictions:
        yield "the backup contradicts itself: `facewatch audit` says how"
    if done.n_links_made or done.n_links_removed:
        yield f"people folder: {plural(done.n_links_made, 'link')} made, {done.n_links_removed} removed"
    if done.left:
        yield f"{plural(len(done.left), 'link')} that may be facewatch's own, left without a record: check"
        yield from (f"  {folder}" for folder in sorted({path.parent for path in done.left}))
    yield "next: `facewatch scan`"
