"""Photos as somebody searches for them: by who is on them, how many faces they show, when and where; newest first."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlite_utils import Database

from facewatch.catalog.opening import TableAccess
from facewatch.catalog.presences import WITHOUT_FACE
from facewatch.ids import label_of


@dataclass(frozen=True, slots=True)
class DateSpan:
    """Days from one to another, both of them included."""

    first: str
    """YYYY, YYYY-MM or YYYY-MM-DD: from the first day that fits; "": from the beginning."""
    last: str
    """To the last day that fits; "": without end."""


ANY_TIME = DateSpan("", "")


@dataclass(frozen=True, slots=True)
class LibraryFolder:
    """A folder of a library."""

    root_id: int
    path: str
    """Below the root; "" is the root itself."""


@dataclass(frozen=True, slots=True)
class PhotoQuery:
    """What photos are searched for; each condition that is given holds."""

    people: tuple[tuple[int, ...], ...] = ()
    """Of each group somebody is on the photo."""
    without: tuple[int, ...] = ()
    """Nobody of these is."""
    least_faces: int = 0
    most_faces: int | None = None
    taken: tuple[DateSpan, ...] = ()
    """Taken in one of these."""
    within: DateSpan = ANY_TIME
    """And in this one."""
    folders: tuple[str, ...] = ()
    """The folders as they were named."""
    places: tuple[LibraryFolder, ...] = ()
    """Which folders these are: a file of the photo is in one of them, or below it."""
    is_undated: bool = False
    """It is not known when they were taken."""
    is_deleted: bool = False
    """No file holds them now."""

    @property
    def is_dated(self) -> bool:
        """Whether it says when they were taken."""
        return bool(self.taken or self.within.first or self.within.last)


@dataclass(frozen=True, slots=True)
class PhotoTotals:
    """How many photos are as a query wants them."""

    n_photos: int
    """All that it finds: those that a file holds now, or with `is_deleted` those that none does."""
    n_deleted: int
    """As many more would be found, but no file holds them any more."""
    n_undated: int
    """As many more would be found if it were known when they were taken; 0 where the query does not ask for that."""


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A file that holds a photo."""

    root: str
    """Of its library, absolute."""
    path: str
    """Absolute."""


@dataclass(frozen=True, slots=True)
class PersonInPhoto:
    """Somebody who is on a photo."""

    person_id: int
    label: str
    """The name, or "Person 0012"."""
    is_named: bool
    face_id: int | None
    """None: by the user's word, no face shows it."""


@dataclass(frozen=True, slots=True)
class FoundPhoto:
    """A photo that a search found."""

    id: int
    taken_at: str
    """YYYY-MM-DDTHH:MM:SS by the camera's clock; "": nobody knows."""
    width: int
    """Of the upright photo in pixels; so is `height`."""
    height: int
    files: tuple[PhotoFile, ...]
    """All copies, sorted by path; none: it was deleted."""
    people: tuple[PersonInPhoto, ...]
    """From left to right, then those without a face."""
    n_faces: int


@dataclass(slots=True)
class _Where:
    """A condition on photos p for SQL."""

    parts: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def add(self, part: str, *values: object) -> None:
        self.parts.append(part)
        self.values += values

    @property
    def sql(self) -> str:
        return " AND ".join(self.parts) or "TRUE"


class PhotoSearch(TableAccess):
    """Finds photos in the catalog."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        # JSON holds no bytes, and folders of thousands are too many for placeholders.
        db.conn.create_function("bytes_of_hex", 1, bytes.fromhex, deterministic=True)

    def ids(self, query: PhotoQuery, *, most: int = -1, after: int | None = None) -> list[int]:
        """Return the photos that a query finds, the newest first and those without a date last.

        Args:
            most: as many at most; -1: all.
            after: a photo; those that come after it.
        """
        where = _where(query)
        if after is not None:
            where.add(f"({_TAKEN}, p.id) < (SELECT {_TAKEN}, p.id FROM photos p WHERE p.id = ?)", after)
        rows = self._db.execute(
            f"SELECT p.id FROM photos p WHERE {where.sql} ORDER BY {_TAKEN} DESC, p.id DESC LIMIT ?",
            [*where.values, most],
        )
        return [photo_id for (photo_id,) in rows]

    def totals(self, query: PhotoQuery) -> PhotoTotals:
        """Return how many there are."""
        where = _where(query, is_everywhere=True, is_any_time=True)
        is_meant = _where_taken(query)
        # With a limit the inner query is run as it stands, and not once for each of the counts.
        n_here, n_deleted, n_undated = self._db.execute(
            "SELECT COALESCE(SUM(state = 1 AND is_meant), 0), COALESCE(SUM(state = 2 AND is_meant), 0),"
            " COALESCE(SUM(state = ? AND NOT is_dated), 0)"
            f" FROM (SELECT CASE WHEN {_IS_HERE} THEN 1 WHEN {_IS_LOST} THEN 2 ELSE 0 END AS state,"
            f" {_TAKEN} > '' AS is_dated, {is_meant.sql} AS is_meant FROM photos p WHERE {where.sql} LIMIT -1)",
            [2 if query.is_deleted else 1, *is_meant.values, *where.values],
        ).fetchone()
        n_undated = n_undated if query.is_dated else 0
        return PhotoTotals(n_deleted, 0, n_undated) if query.is_deleted else PhotoTotals(n_here, n_deleted, n_undated)

    def found(self, photos: Sequence[int]) -> list[FoundPhoto]:
        """Return what is known of these photos, in this order, as far as there are any."""
        wanted = [json.dumps(list(photos))]
        facts = self._db.execute(
            "SELECT id, COALESCE(taken_at, ''), COALESCE(width, 1), COALESCE(height, 1) FROM photos"
            " WHERE id IN (SELECT value FROM json_each(?))",
            wanted,
        )
        known = {photo_id: rest for photo_id, *rest in facts}
        files, people, n_faces = self._files(wanted), self._people(wanted), self._n_faces(wanted)
        return [
            FoundPhoto(
                photo_id,
                taken_at=taken_at,
                width=width,
                height=height,
                files=tuple(files.get(photo_id, ())),
                people=tuple(people.get(photo_id, ())),
                n_faces=n_faces.get(photo_id, 0),
            )
            for photo_id, (taken_at, width, height) in ((one, known[one]) for one in photos if one in known)
        ]

    def _files(self, wanted: list[str]) -> dict[int, list[PhotoFile]]:
        rows = self._db.execute(
            "SELECT files.photo_id, roots.path, files.path FROM files JOIN roots ON roots.id = files.root_id"
            " WHERE files.photo_id IN (SELECT value FROM json_each(?)) ORDER BY roots.path, files.path",
            wanted,
        )
        files: dict[int, list[PhotoFile]] = {}
        for photo_id, root, path in rows:
            file = PhotoFile(os.fsdecode(root), os.fsdecode(root + b"/" + path))
            files.setdefault(photo_id, []).append(file)
        return files

    def _people(self, wanted: list[str]) -> dict[int, list[PersonInPhoto]]:
        rows = self._db.execute(
            "SELECT f.photo_id, p.id, p.name, f.id, f.x FROM faces f JOIN assignments a ON a.face_id = f.id"
            " JOIN people p ON p.id = a.person_id WHERE f.photo_id IN (SELECT value FROM json_each(?1))"
            " UNION ALL SELECT r.photo_id, p.id, p.name, NULL, 1e9 FROM presences r JOIN people p ON p.id = r.person_id"
            f" WHERE r.photo_id IN (SELECT value FROM json_each(?1)) AND {WITHOUT_FACE}"
            " ORDER BY 1, 5, 4, 2",
            wanted,
        )
        people: dict[int, list[PersonInPhoto]] = {}
        for photo_id, person_id, name, face_id, _ in rows:
            one = PersonInPhoto(person_id, name or label_of(person_id), name is not None, face_id)
            people.setdefault(photo_id, []).append(one)
        return people

    def _n_faces(self, wanted: list[str]) -> dict[int, int]:
        rows = self._db.execute(
            "SELECT f.photo_id, COUNT(*) FROM faces f WHERE f.photo_id IN (SELECT value FROM json_each(?))"
            f" AND {_IS_FACE} GROUP BY f.photo_id",
            wanted,
        )
        return dict(rows.fetchall())

    def folders(self) -> dict[int, set[str]]:
        """Return the folders of every library that hold photos, also by way of a folder in them, by the library's id;
        "" is the library itself."""
        rows = self._db.execute("SELECT root_id, path FROM files")
        holding = {(root_id, path.rpartition(b"/")[0]) for root_id, path in rows}
        folders: dict[int, set[str]] = {}
        for root_id, path in holding:
            folders.setdefault(root_id, set()).update(_with_parents(os.fsdecode(path)))
        return folders

    def roots(self) -> dict[int, Path]:
        """Return where the libraries are, by their ids."""
        rows = self._db.execute("SELECT id, path FROM roots ORDER BY id")
        return {root_id: Path(os.fsdecode(path)) for root_id, path in rows}


_TAKEN = "COALESCE(p.taken_at, '')"
"""When a photo p was taken, "" where nobody knows, which sorts before every date."""

_IS_HERE = "EXISTS (SELECT 1 FROM files WHERE files.photo_id = p.id)"

_IS_LOST = (
    f"(NOT {_IS_HERE} AND NOT p.is_reference AND NOT EXISTS (SELECT 1 FROM faces b JOIN lineage l ON l.before_id = b.id"
    " JOIN faces n ON n.id = l.face_id JOIN files ON files.photo_id = n.photo_id WHERE b.photo_id = p.id))"
)
"""Whether no file holds a photo p any more, nor what it became when it was edited."""

_IS_FACE = "f.is_current AND NOT EXISTS (SELECT 1 FROM marks WHERE marks.face_id = f.id AND marks.mark = 'not_a_face')"
"""Whether a face f counts as one."""

_WITH = (
    "(SELECT f.photo_id FROM assignments a JOIN faces f ON f.id = a.face_id"
    " WHERE a.person_id IN (SELECT value FROM json_each(?))"
    " UNION ALL SELECT photo_id FROM presences WHERE person_id IN (SELECT value FROM json_each(?)))"
)
"""The photos that some people are on."""

_BELOW = (
    "(SELECT files.photo_id FROM json_each(?) j CROSS JOIN files ON files.root_id = j.value ->> 0"
    " AND files.path >= bytes_of_hex(j.value ->> 1) AND files.path < bytes_of_hex(j.value ->> 2)"
    " WHERE files.photo_id IS NOT NULL)"
)
"""The photos in some folders."""


def _where(query: PhotoQuery, *, is_everywhere: bool = False, is_any_time: bool = False) -> _Where:
    """Return what holds of the photos that a query finds; or would find if nothing were deleted (`is_everywhere`), or
    whenever they were taken (`is_any_time`)."""
    where = _Where() if is_any_time else _where_taken(query)
    for group in query.people:
        where.add(f"p.id IN {_WITH}", *[json.dumps(group)] * 2)
    if query.without:
        where.add(f"p.id NOT IN {_WITH}", *[json.dumps(query.without)] * 2)
    _add_faces(where, query)
    if query.folders:
        where.add(f"p.id IN {_BELOW}", json.dumps(list(map(_bounds, query.places))))
    if not is_everywhere:
        where.add(_IS_LOST if query.is_deleted else _IS_HERE)
    return where


def _where_taken(query: PhotoQuery) -> _Where:
    where = _Where()
    if query.is_undated:
        where.add(f"{_TAKEN} = ''")
    if query.is_dated:
        where.add(f"{_TAKEN} > ''")
    for spans in filter(None, (query.taken, (query.within,))):
        parts = [_in_span(span) for span in spans]
        where.add(f"({' OR '.join(part.sql for part in parts)})", *(value for part in parts for value in part.values))
    return where


def _in_span(span: DateSpan) -> _Where:
    where = _Where()
    if span.first:
        where.add(f"{_TAKEN} >= ?", span.first)
    if span.last:
        # "~" comes behind all that a date may continue with.
        where.add(f"{_TAKEN} < ?", f"{span.last}~")
    return where


def _add_faces(where: _Where, query: PhotoQuery) -> None:
    counted = f"(SELECT f.photo_id FROM faces f WHERE {_IS_FACE} GROUP BY f.photo_id HAVING COUNT(*)"
    if query.least_faces:
        where.add(f"p.id IN {counted} BETWEEN ? AND ?)", query.least_faces, query.most_faces or 2**62)
    elif query.most_faces is not None:
        where.add(f"p.id NOT IN {counted} > ?)", query.most_faces)


def _bounds(folder: LibraryFolder) -> tuple[int, str, str]:
    """Return between which bytes the paths below a folder are, as hex digits."""
    path = os.fsencode(folder.path)
    # "0" comes right behind "/". Below a root is everything.
    begin, end = (path + b"/", path + b"0") if path else (b"", b"\xff" * 8)
    return folder.root_id, begin.hex(), end.hex()


def _with_parents(path: str) -> Iterator[str]:
    yield path
    while path:
        path = path.rpartition("/")[0]
        yield path


def topmost(folders: Collection[LibraryFolder]) -> tuple[LibraryFolder, ...]:
    """Return those folders that are below none of the others."""
    known = {(folder.root_id, folder.path) for folder in folders}
    return tuple(
        sorted(
            (
                one
                for one in folders
                if not any((one.root_id, above) in known for above in [*_with_parents(one.path)][1:])
            ),
            key=lambda one: (one.root_id, one.path),
        )
    )
