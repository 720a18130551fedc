"""Who and what a user means: people by id, label or name, faces by id or by their place in a photo."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from facewatch.catalog import Catalog, FaceRow, Person
from facewatch.errors import NotKnownError
from facewatch.types import Box

MAX_NAME_LENGTH = 120
_JOINERS = "\u200c\u200d"
"""Persian names and many emoji are spelt with them."""
_LABEL = re.compile(r"person\s+(\d+)", re.IGNORECASE)
_FACE = re.compile(r"(.*):(\d+)", re.DOTALL)

PhotoOf = Callable[[Path], int]
"""Returns the id of the photo at a path, or raises NotKnownError."""


@dataclass(frozen=True, slots=True)
class FaceAt:
    """Where a face is to be seen."""

    id: int
    file: str | None
    """The photo, absolute; None: it is not in the library now."""
    number: int
    """Of the face in its photo, from left to right, from 1; 0: the engine in use does not see it."""
    box: Box
    person_id: int | None


def find_person(catalog: Catalog, who: str) -> Person:
    """Return the person with this id, name, or unique beginning of a name; a merged one is found where it went.

    Raises:
        NotKnownError: nobody fits, or several do; the message lists them.
    """
    wanted = unicodedata.normalize("NFC", who).strip()
    number = wanted if wanted.isdecimal() else number_of_label(wanted)
    if number is not None and (person := _by_id(catalog, int(number))) is not None:
        return person
    names, key = catalog.people.names(), name_key(wanted)
    exact = [p for p, name in names.items() if name.casefold() == key]
    fitting = exact or [p for p, name in names.items() if key and name.casefold().startswith(key)]
    if len(fitting) == 1 and (person := catalog.people.one(fitting[0])) is not None:
        return person
    if fitting:
        listed = ", ".join(f"{names[p]} (id {p})" for p in fitting[:10])
        raise NotKnownError(f"{who!r} fits {len(fitting)} people: {listed}; write more of the name, or the id")
    labels = {p: label_of(p) for p in catalog.people.unnamed()}
    unnamed = [label for label in labels.values() if key and label.casefold().startswith(key)]
    if unnamed:
        listed = ", ".join(unnamed[:10])
        raise NotKnownError(f"{who!r} is the beginning of {len(unnamed)} people: {listed}; write the whole number")
    raise NotKnownError(f"nobody is called {who!r}{near_names(key, names)}; `facewatch people` lists everybody")


def find_faces(catalog: Catalog, faces: Sequence[str], photo_of: PhotoOf) -> list[FaceRow]:
    """Return the faces with these ids or places ("holiday.jpg:2": the second from the left), each once.

    Raises:
        NotKnownError: with what is wrong with the first that is no face.
    """
    ids = dict.fromkeys(_face_id(catalog, face, photo_of) for face in faces)
    found = {row.id: row for row in catalog.faces.rows(ids)}
    return [found[face_id] for face_id in ids]


def faces_at(catalog: Catalog, faces: Iterable[int]) -> list[FaceAt]:
    """Return where these faces are, in this order, as far as there are any."""
    faces = list(dict.fromkeys(faces))
    rows = {row.id: row for row in catalog.faces.rows(faces)}
    photos = {row.photo_id for row in rows.values()}
    files = catalog.files.sources(photos)
    numbers = {
        int(str(face["face_id"])): number
        for photo_id in photos
        for number, face in enumerate(catalog.faces.in_photo(photo_id), 1)
    }
    return [
        FaceAt(
            row.id,
            file=next(iter(files.get(row.photo_id, ())), None),
            number=numbers.get(row.id, 0),
            box=Box(*row.box),
            person_id=row.person_id,
        )
        for row in (rows[face_id] for face_id in faces if face_id in rows)
    ]


def is_face(text: str) -> bool:
    """Whether this can only name a face: a number, a photo with a number behind a colon, or a photo."""
    return text.isdecimal() or _FACE.fullmatch(text) is not None or Path(text).is_file()


def _face_id(catalog: Catalog, face: str, photo_of: PhotoOf) -> int:
    if face.isdecimal():
        return _known_face(catalog, face)
    if Path(face).is_file():
        return _only_face(catalog, face, photo_of(Path(face)))
    named = _FACE.fullmatch(face)
    if named is None:
        raise NotKnownError(
            f"{face!r} is no face; write its id, or a photo and which face from the left, for example holiday.jpg:1. "
            "`facewatch why PHOTO` lists both"
        )
    ids = _faces_of(catalog, photo_of(Path(named[1])))
    number = int(named[2])
    if not 1 <= number <= len(ids):
        has = f"has {len(ids)} face(s)" if ids else "has no face"
        raise NotKnownError(f"{face}: {named[1]} {has}; `facewatch why {named[1]}` lists them")
    return ids[number - 1]


def _faces_of(catalog: Catalog, photo_id: int) -> list[int]:
    return [int(str(row["face_id"])) for row in catalog.faces.in_photo(photo_id)]


def _only_face(catalog: Catalog, photo: str, photo_id: int) -> int:
    """Return the face of a photo that has a single one."""
    ids = _faces_of(catalog, photo_id)
    if len(ids) != 1:
        which = f"has {len(ids)} faces; say which, counted from the left: {photo}:1" if ids else "has no face"
        raise NotKnownError(f"{photo} {which}. `facewatch why {photo}` lists them")
    return ids[0]


def _known_face(catalog: Catalog, text: str) -> int:
    face_id = int(text)
    if face_id < 2**63 and catalog.faces.rows([face_id]):
        return face_id
    person = _by_id(catalog, face_id)
    hint = f"; {text} is a person ({person.label}), who is no face" if person else ""
    raise NotKnownError(f"there is no face {text}{hint}; `facewatch why PHOTO` lists the ids of faces")


def number_of_label(text: str) -> str | None:
    """Return the id in "Person 0012" or "Person 12"; "Person 012" is only the beginning of labels."""
    label = _LABEL.fullmatch(text)
    is_whole = label is not None and label[1] in (str(int(label[1])), f"{int(label[1]):04d}")
    return label[1] if label and is_whole else None


def label_of(person_id: int) -> str:
    """Return what a person without a name is called."""
    return f"Person {person_id:04d}"


def name_key(name: str) -> str:
    """Return what names that mean the same have in common."""
    return " ".join(name.casefold().split())


def _by_id(catalog: Catalog, person_id: int) -> Person | None:
    if person_id >= 2**63:
        return None
    while (into := catalog.people.merged_into(person_id)) is not None:
        person_id = into
    return catalog.people.one(person_id)


def near_names(key: str, names: Mapping[int, str]) -> str:
    """Return a question that offers names like this, or nothing."""
    near = nearest_names(key, names.values())
    return f"; did you mean {', '.join(near)}?" if near else ""


def nearest_names(key: str, names: Iterable[str]) -> list[str]:
    """Return up to three names like this."""
    import difflib

    by_key = {name.casefold(): name for name in names}
    return [by_key[name] for name in difflib.get_close_matches(key, by_key, 3, 0.6)]


def clean_name(name: str) -> str:
    """Return the name in Unicode NFC with single spaces, without marks that cannot be seen but turn text round.

    Raises:
        NotKnownError: it is empty, too long, holds control characters, would be taken for a person's id, or would lead
            out of the people folder.
    """
    seen = "".join(c for c in name if c in _JOINERS or unicodedata.category(c) != "Cf")
    cleaned = " ".join(unicodedata.normalize("NFC", seen).split())
    if not cleaned:
        raise NotKnownError("the new name is empty; write one, for example: facewatch rename 12 Anna")
    if len(cleaned) > MAX_NAME_LENGTH:
        raise NotKnownError(f"the new name has {len(cleaned)} characters; at most {MAX_NAME_LENGTH} are possible")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in cleaned):
        raise NotKnownError(f"the new name {name!r} holds control characters; leave them out")
    if cleaned.startswith("/") or ".." in re.split(r"[/\\]", cleaned):
        raise NotKnownError(f"{cleaned!r} would lead out of the people folder; leave out the slashes and dots")
    if cleaned.isdecimal() or _LABEL.fullmatch(cleaned):
        raise NotKnownError(f"{cleaned!r} would be taken for the id of a person; choose another name")
    return cleaned
