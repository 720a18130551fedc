"""The tables and views that readers have, in PostgreSQL's words; what they mean is what the catalog's mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

VERSION = 1
"""Of all that stands here: a copy of another version is not written to."""


@dataclass(frozen=True, slots=True)
class ReaderTable:
    """One table that readers have."""

    name: str
    comment: str
    columns: Mapping[str, tuple[str, str]]
    """Name -> type, and what it means."""
    primary: tuple[str, ...]
    indexes: tuple[str, ...] = ()
    """Columns that are searched by, one an index."""


_ID = "bigint NOT NULL"

TABLES = {
    table.name: table
    for table in (
        ReaderTable(
            "roots",
            "Photo libraries.",
            {"id": (_ID, ""), "path": ("text NOT NULL", "absolute; undecodable bytes replaced")},
            ("id",),
        ),
        ReaderTable(
            "engines",
            "What finds faces and tells them apart.",
            {
                "id": (_ID, ""),
                "name": ("text NOT NULL", ""),
                "n_dims": ("integer NOT NULL", "numbers of an embedding"),
                "licence": ("text NOT NULL", ""),
                "is_in_use": ("boolean NOT NULL", "one is: its embeddings stand in embeddings"),
            },
            ("id",),
        ),
        ReaderTable(
            "photos",
            "Photos, identified by their content; a path is a row of files.",
            {
                "id": (_ID, ""),
                "sha256": ("bytea NOT NULL", "of all bytes; the photo is its content"),
                "width": ("integer", "of the upright photo in pixels; NULL until it was decoded"),
                "height": ("integer", "of the upright photo in pixels"),
                "format": ("text", ""),
                "taken_at": ("timestamp", "by the camera's clock; NULL: the file does not say"),
                "is_reference": ("boolean NOT NULL", "given to show who somebody is; it may lie in no library"),
                "added_at": ("timestamptz NOT NULL", ""),
            },
            ("id",),
            ("taken_at",),
        ),
        ReaderTable(
            "files",
            "Paths that hold photos, or what could not be read.",
            {
                "id": (_ID, ""),
                "root_id": (_ID, "roots.id"),
                "path": ("text NOT NULL", "below the root; undecodable bytes replaced"),
                "size": ("bigint NOT NULL", "bytes"),
                "photo_id": ("bigint", "photos.id; NULL: not a photo, or not readable"),
                "fault": ("text", "what is wrong with the file; NULL: nothing"),
                "advice": ("text", "what to do about it"),
            },
            ("id",),
            ("photo_id",),
        ),
        ReaderTable(
            "people",
            "Living people; who was merged into another, or forgotten, is not here.",
            {
                "id": (_ID, "never used again"),
                "name": ("text", 'NULL: not named yet, shown as "Person 0012"'),
                "is_hidden": ("boolean NOT NULL", ""),
                "born": ("text", "YYYY, YYYY-MM or YYYY-MM-DD"),
                "folder": ("text", "the folder made for it, below the people folder"),
                "cover_id": ("bigint", "faces.id: the face that stands for the person"),
                "created_at": ("timestamptz NOT NULL", ""),
            },
            ("id",),
            ("name",),
        ),
        ReaderTable(
            "faces",
            "One row a detection in a photo; those of forgotten people are not here.",
            {
                "id": (_ID, ""),
                "photo_id": (_ID, "photos.id"),
                "engine_id": ("bigint", "engines.id: whose box and quality stand here"),
                "x": ("integer NOT NULL", "the box in pixels of the upright photo, (x, y) its left upper corner"),
                "y": ("integer NOT NULL", ""),
                "w": ("integer NOT NULL", ""),
                "h": ("integer NOT NULL", ""),
                "turn": (
                    "integer NOT NULL",
                    "by how many degrees clockwise the photo has to be turned for the face to be upright",
                ),
                "score": ("double precision NOT NULL", "the detector's confidence, on its own scale"),
                "sharpness": ("double precision NOT NULL", "variance of the Laplacian on the aligned crop"),
                "brightness": ("double precision NOT NULL", "mean grey value, 0 to 255"),
                "pose": ("double precision", "0 looks into the camera, 1 is a profile; NULL: not measured"),
                "quality": ("double precision NOT NULL", "0 to 1"),
                "tier": ("text NOT NULL", "what the face may do: found, match or show"),
                "covered": ("text", "what of the face something hides; NULL: not known"),
                "is_drawn": ("boolean NOT NULL", "a user drew the box"),
            },
            ("id",),
            ("photo_id",),
        ),
        ReaderTable(
            "assignments",
            "Whose a face is, and why.",
            {
                "face_id": (_ID, "faces.id"),
                "person_id": (_ID, "people.id"),
                "source": ("text NOT NULL", "auto, cluster, user, import or folder"),
                "distance": (
                    "double precision",
                    "to the nearest member when it was made; Euclidean between unit vectors",
                ),
                "centroid_distance": ("double precision", ""),
                "runner_up_id": ("bigint", "the person that came second"),
                "runner_up_distance": ("double precision", ""),
                "rule": ("text NOT NULL", "why"),
                "at": ("timestamptz NOT NULL", ""),
            },
            ("face_id",),
            ("person_id",),
        ),
        ReaderTable(
            "presences",
            "A user said: this person is in the photo, though no face shows it.",
            {
                "person_id": (_ID, "people.id"),
                "photo_id": (_ID, "photos.id"),
                "at": ("timestamptz NOT NULL", ""),
            },
            ("person_id", "photo_id"),
            ("photo_id",),
        ),
        ReaderTable(
            "embeddings",
            "One unit vector a face, by the engine in use.",
            {"face_id": (_ID, "faces.id"), "vector": ("{halfvec} NOT NULL", "of length 1, in half precision")},
            ("face_id",),
        ),
    )
}
"""By name; {halfvec} is the type with its dimensions."""

NEAREST = "embeddings_nearest"
"""The index by which the nearest faces are found."""

PUBLICATION = ReaderTable(
    "publication",
    "One row: which catalog this is a copy of, and of when.",
    {
        "version": ("integer NOT NULL", "of these tables"),
        "library_id": ("text NOT NULL", "the catalog's own"),
        "token": ("text NOT NULL", "what this state is called in the catalog"),
        "engine_id": ("bigint", "engines.id whose embeddings these are"),
        "is_whole": ("boolean NOT NULL", "false: the first publish, or a new start, has not ended yet"),
        "published_at": ("timestamptz", "when it was whole last"),
        "journal_id": ("bigint", "the newest decision that it holds, by the catalog's journal"),
        "program": ("text NOT NULL", "the facewatch that published"),
    },
    ("library_id",),
)

LOADING = ReaderTable(
    "loading",
    "How far a table has been sent as a whole; for facewatch alone.",
    {
        "name": ("text NOT NULL", ""),
        "key": ("bigint NOT NULL", "the last that is there"),
        "is_done": ("boolean NOT NULL", ""),
    },
    ("name",),
)

_LABEL = "COALESCE(p.name, 'Person ' || lpad(p.id::text, greatest(4, length(p.id::text)), '0'))"

VIEWS = {
    "people_view": (
        "One row a living person, with what is in the library now.",
        f"""
        SELECT p.id, {_LABEL} AS name, p.name IS NOT NULL AS is_named, p.is_hidden, COUNT(f.id) AS faces,
               COUNT(DISTINCT f.photo_id) +
               (SELECT COUNT(*) FROM presences r WHERE r.person_id = p.id
                AND EXISTS (SELECT 1 FROM files WHERE files.photo_id = r.photo_id)
                AND NOT EXISTS (SELECT 1 FROM faces g JOIN assignments b ON b.face_id = g.id
                                WHERE g.photo_id = r.photo_id AND b.person_id = p.id)) AS photos, p.born, p.folder
        FROM people p
        LEFT JOIN assignments a ON a.person_id = p.id
        LEFT JOIN faces f ON f.id = a.face_id AND EXISTS (SELECT 1 FROM files WHERE files.photo_id = f.photo_id)
        GROUP BY p.id
        """,
    ),
    "faces_view": (
        "One row a face of a photo in the library.",
        f"""
        SELECT f.id, (SELECT MIN(files.path COLLATE "C") FROM files WHERE files.photo_id = f.photo_id) AS path,
               f.photo_id,
               p.id AS person_id, CASE WHEN p.id IS NOT NULL THEN {_LABEL} END AS name,
               f.x, f.y, f.w, f.h, f.turn, a.distance, a.source, a.rule, f.score, f.sharpness, f.brightness, f.pose,
               f.quality, f.tier, e.name AS engine, f.is_drawn
        FROM faces f
        LEFT JOIN engines e ON e.id = f.engine_id
        LEFT JOIN assignments a ON a.face_id = f.id
        LEFT JOIN people p ON p.id = a.person_id
        WHERE EXISTS (SELECT 1 FROM files WHERE files.photo_id = f.photo_id)
        """,
    ),
    "photos_view": (
        "One row a file of the library.",
        """
        SELECT files.id, roots.path || '/' || files.path AS path, files.photo_id, photos.width, photos.height,
               photos.format, (SELECT COUNT(*) FROM faces WHERE faces.photo_id = photos.id) AS faces,
               files.fault, files.advice
        FROM files JOIN roots ON roots.id = files.root_id LEFT JOIN photos ON photos.id = files.photo_id
        """,
    ),
}
"""Name -> what it shows, and its query."""
