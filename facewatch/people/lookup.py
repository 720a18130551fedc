"""Finds what a user means: people by id, label or name, faces by id or by their number in a photo."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facewatch import ids
from facewatch.catalog import Catalog, FaceRow, KnownFile, Person, display
from facewatch.errors import NotKnownError
from facewatch.folders.links import Linked, link_at
from facewatch.ids import label_of
from facewatch.text import plural, whole_text
from facewatch.types import Box

MAX_NAME_LENGTH = 120
_JOINERS = "\u200c\u200d"
"""Persian names and many emoji are spelt with them."""
_LABEL = re.compile(r"person\s+(\d+)", re.IGNORECASE)
_FACE = re.compile(r"(.*):(\d{1,9})", re.DOTALL)


class UnusableNameError(NotKnownError):
    """Nobody can be called so."""


class NobodyCalledError(NotKnownError):
    """Nobody has this name: it may be somebody's who is new."""


PhotoOf = Callable[[Path], int]
"""Returns the id of the photo at a path, or raises NotKnownError."""


LinkAt = Callable[[Path], Linked | None]
"""Returns what a link stands for that was made at this path; None: there is no such link."""


def no_link(path: Path) -> None:
    """There is no people folder to search."""


@dataclass(frozen=True, slots=True)
class FaceAt:
    """A face, its photo and its number there."""

    id: int
    file: str | None
    """The photo, absolute; None: it is not in the library now."""
    number: int
    """Of the face in its photo, from left to right, from 1; 0: the engine in use does not see it."""
    box: Box
    person_id: int | None


def find_person(catalog: Catalog, who: str) -> Person:
    """Return the person with this id (p11, or 11), name, or unique beginning of a name; a merged one is found where it
    went.

    Raises:
        NotKnownError: nobody fits, or several do; the message lists them.
    """
    wanted = unicodedata.normalize("NFC", who).strip()
    typed, names, key = ids.read_id(wanted), catalog.people.names(), name_key(wanted)
    exact = [p for p, name in names.items() if name_key(name) == key]
    person = _by_typed(catalog, typed) or _by_label(catalog, wanted)
    if typed is not None and typed.kind and exact:
        return _of_that_very_name(catalog, who, typed, person, exact)
    if person is not None:
        return person
    if typed is not None and typed.kind:
        raise _no_person(catalog, who, typed)
    fitting = exact or [p for p, name in names.items() if key and name.casefold().startswith(key)]
    if len(fitting) == 1 and (person := catalog.people.one(fitting[0])) is not None:
        return person
    if fitting:
        listed = ", ".join(f"{names[p]} ({ids.person(p)})" for p in fitting[:10])
        raise NotKnownError(f"{who!r} fits {len(fitting)} people: {listed}; write more of the name, or the id")
    labels = {p: label_of(p) for p in catalog.people.unnamed()}
    unnamed = [label for label in labels.values() if key and label.casefold().startswith(key)]
    if unnamed:
        listed = ", ".join(unnamed[:10])
        raise NotKnownError(f"{who!r} is the beginning of {len(unnamed)} people: {listed}; write the whole number")
    nobody = f"nobody is called {who!r}{_face_hint(catalog, typed) if typed else near_names(key, names)}"
    raise NobodyCalledError(f"{nobody}; `facewatch people` lists everybody", on_page=nobody)


def _by_typed(catalog: Catalog, typed: ids.Id | None) -> Person | None:
    return person_by_id(catalog, typed.number) if typed is not None and typed.kind in ("", ids.PERSON) else None


def _by_label(catalog: Catalog, text: str) -> Person | None:
    number = number_of_label(text)
    return _by_typed(catalog, ids.read_id(number)) if number is not None else None


def _of_that_very_name(catalog: Catalog, who: str, typed: ids.Id, by_id: Person | None, exact: Sequence[int]) -> Person:
    """Return who bears an id as a name, given before names like that were refused, unless it is somebody's id."""
    named = catalog.people.one(exact[0])
    assert named is not None
    if by_id is None or by_id.id == named.id:
        return named
    raise NotKnownError(
        f"{who!r} is the id of {by_id.label} and the name of somebody else: {typed.number} is the one, "
        f"{ids.person(named.id)} the other; `facewatch rename {ids.person(named.id)} NEW` ends that"
    )


def _no_person(catalog: Catalog, who: str, typed: ids.Id) -> NotKnownError:
    if typed.kind == ids.FACE and catalog.faces.rows([typed.number]):
        face = said_of_face(catalog, typed.number)
        return NotKnownError(f"{who} is {face}, and a person is wanted: a name, or an id like p12")
    hint = _face_hint(catalog, typed) if typed.kind == ids.PERSON else ", and a person is wanted"
    return NotKnownError(
        f"nobody has the id {who}{hint}; `facewatch people` lists everybody",
        on_page="there is no such person; somebody may have merged or forgotten them meanwhile",
    )


def _face_hint(catalog: Catalog, typed: ids.Id) -> str:
    """Say what a number is that is no person's, if it is a face's."""
    is_face_id = bool(catalog.faces.rows([typed.number]))
    return f"; {ids.face(typed.number)} is {said_of_face(catalog, typed.number)}" if is_face_id else ""


def find_faces(
    catalog: Catalog,
    faces: Sequence[str],
    photo_of: PhotoOf,
    *,
    link_at: LinkAt = no_link,
    instead: Callable[[Person], str] | None = None,
) -> list[FaceRow]:
    """Return the faces with these ids (f11, or 11) or places ("holiday.jpg:2": the second from the left), each once.

    A photo that has one face names that; a link in somebody's folder names that person's face on it.

    Args:
        instead: what to do about a person that was named where a face is wanted.

    Raises:
        NotKnownError: with what is wrong with the first that is no face.
    """
    found = dict.fromkeys(_face_id(catalog, face, photo_of, link_at, instead) for face in faces)
    rows = {row.id: row for row in catalog.faces.rows(found)}
    return [rows[face_id] for face_id in found]


def faces_at(catalog: Catalog, faces: Iterable[int]) -> list[FaceAt]:
    """Return where these faces are, in this order, as far as there are any."""
    faces = list(dict.fromkeys(faces))
    rows = {row.id: row for row in catalog.faces.rows(faces)}
    photos = {row.photo_id for row in rows.values()}
    files = catalog.files.sources(photos)
    numbers = catalog.faces.numbers(photos)
    return [
        FaceAt(
            row.id,
            file=next(iter(files.get(row.photo_id, ())), None),
            number=numbers.get(row.id, 0),
            box=row.box,
            person_id=row.person_id,
        )
        for row in (rows[face_id] for face_id in faces if face_id in rows)
    ]


def is_face(text: str) -> bool:
    """Whether this can only name a face: its id, a number, a photo with a number behind a colon, or a photo, also one
    that is not there."""
    typed = ids.read_id(text)
    if typed is not None:
        return typed.kind in ("", ids.FACE)
    return _FACE.fullmatch(text) is not None or _is_photo(text)


@dataclass(frozen=True, slots=True)
class Meanings:
    """What a word that is written like an id can mean; None: nothing of that kind."""

    face_id: int | None
    face: str
    """The face in words."""
    person_id: int | None
    person: str


def meanings_of(catalog: Catalog, text: str) -> Meanings:
    """Return which face and which person a word can mean."""
    typed, person = ids.read_id(text), None
    if typed is None:
        return Meanings(None, "", None, "")
    if typed.kind != ids.FACE or name_key(text) in map(name_key, catalog.people.names().values()):
        try:
            person = find_person(catalog, text)
        except NotKnownError:
            person = None
    face_id = typed.number if typed.kind in ("", ids.FACE) and catalog.faces.rows([typed.number]) else None
    return Meanings(
        face_id,
        said_of_face(catalog, face_id) if face_id is not None else "",
        person.id if person else None,
        said_of_person(person) if person else "",
    )


def _is_photo(text: str) -> bool:
    """Whether a file is there, or it is called like a photo; a link to a photo that was moved still says which photo
    it was."""
    from facewatch.decode import claims_to_be_photo

    try:
        return claims_to_be_photo(text) or Path(text).is_file() or Path(text).is_symlink()
    except OSError:  # too long for a name, or in a folder that may not be read
        return False


def said_of_face(catalog: Catalog, face_id: int) -> str:
    """Return which face this is: where, and whose."""
    found = faces_at(catalog, [face_id])
    if not found:
        return "no face"
    where = display(f"{found[0].file}:{found[0].number}") if found[0].file else "of a photo that is away"
    person = catalog.people.one(found[0].person_id) if found[0].person_id is not None else None
    return f"the face {where} ({f'of {person.label}' if person else 'of nobody'})"


def said_of_person(person: Person) -> str:
    """Return which person this is."""
    return f"{f'the person {person.name}' if person.name else person.label} ({plural(person.n_photos, 'photo')})"


def handle_of(person_id: int, label: str) -> str:
    """Return a person as commands take it: the name, else the id."""
    is_plain = ids.read_id(label) is None and not label.startswith("-") and label != label_of(person_id)
    return shlex.quote(label) if is_plain else ids.person(person_id)


def _face_id(
    catalog: Catalog, face: str, photo_of: PhotoOf, link_at: LinkAt, instead: Callable[[Person], str] | None
) -> int:
    typed = ids.read_id(face)
    if typed is not None and typed.kind in ("", ids.FACE):
        return _known_face(catalog, typed)
    if (linked := link_at(Path(face))) is not None:
        return _face_on_link(catalog, face, linked)
    if _is_photo(face):
        return _only_face(catalog, face, photo_of(Path(face)))
    if typed is not None and (person := _by_typed(catalog, typed)) is not None:
        rather = f"; {instead(person)}" if instead else ""
        raise NotKnownError(
            f"{face} is {said_of_person(person)}, and a face is wanted: an id like f12, or a photo{rather}"
        )
    named = _FACE.fullmatch(face)
    if named is None:
        raise NotKnownError(
            f"{face!r} is no face; write its id, or a photo and which face from the left, for example holiday.jpg:1. "
            "`facewatch why PHOTO` lists both"
        )
    found = _faces_of(catalog, photo_of(Path(named[1])))
    number = int(named[2])
    if not 1 <= number <= len(found):
        has = f"has {len(found)} face(s)" if found else "has no face"
        raise NotKnownError(f"{face}: {named[1]} {has}; `facewatch why {named[1]}` lists them")
    return found[number - 1]


def _faces_of(catalog: Catalog, photo_id: int) -> list[int]:
    return [int(str(row["face_id"])) for row in catalog.faces.in_photo(photo_id)]


def _only_face(catalog: Catalog, photo: str, photo_id: int) -> int:
    """Return the face of a photo that has a single one."""
    found = _faces_of(catalog, photo_id)
    if len(found) != 1:
        which = f"has {len(found)} faces; say which, counted from the left: {photo}:1" if found else "has no face"
        raise NotKnownError(f"{photo} {which}. `facewatch why {photo}` lists them")
    return found[0]


def faces_on_link(catalog: Catalog, linked: Linked) -> list[int]:
    """Return the faces on a link's photo that belong to whom it was made for."""
    person = person_by_id(catalog, linked.person_id)
    faces = catalog.faces.in_photo(linked.photo_id) if person is not None else []
    return [int(str(face["face_id"])) for face in faces if person is not None and face["person_id"] == person.id]


def is_present(catalog: Catalog, linked: Linked) -> bool:
    """Whether whom a link was made for is on its photo by the user's word."""
    person = person_by_id(catalog, linked.person_id)
    return person is not None and linked.photo_id in catalog.presences.of_person(person.id)


def said_of_link(catalog: Catalog, linked: Linked) -> str:
    """Return that nobody on a link's photo is whom it was made for."""
    person = person_by_id(catalog, linked.person_id)
    label = person.label if person is not None else f"{label_of(linked.person_id)}, who is forgotten,"
    return f"{label} is not on this photo any more; `facewatch folders` brings the links up to date"


def _face_on_link(catalog: Catalog, link: str, linked: Linked) -> int:
    found = faces_on_link(catalog, linked)
    if not found and is_present(catalog, linked):
        label = _label(catalog, linked.person_id)
        raise NotKnownError(
            f"{link}: {label} is in this photo without a face, as you said; to take that back: "
            f"facewatch present {handle_of(linked.person_id, label)} {shlex.quote(link)} --not"
        )
    if not found:
        raise NotKnownError(f"{link}: {said_of_link(catalog, linked)}, and `facewatch why {link}` shows who is")
    if len(found) > 1:
        listed = ", ".join(f"{ids.face(face.id)} ({face.number} from the left)" for face in faces_at(catalog, found))
        label = _label(catalog, linked.person_id)
        raise NotKnownError(f"{link}: {label} is on this photo {len(found)} times: {listed}; say which")
    return found[0]


def _label(catalog: Catalog, person_id: int) -> str:
    person = person_by_id(catalog, person_id)
    return person.label if person is not None else label_of(person_id)


def _known_face(catalog: Catalog, typed: ids.Id) -> int:
    if catalog.faces.rows([typed.number]):
        return typed.number
    person = person_by_id(catalog, typed.number)
    hint = f"; {ids.person(typed.number)} is {said_of_person(person)}, who is no face" if person else ""
    raise NotKnownError(
        f"there is no face {ids.face(typed.number)}{hint}; `facewatch why PHOTO` lists the ids of faces",
        on_page="there is no such face any more",
    )


def number_of_label(text: str) -> str | None:
    """Return the id in "Person 0012" or "Person 12"; "Person 012" is only the beginning of labels."""
    label = _LABEL.fullmatch(text)
    is_whole = label is not None and label[1] in (str(int(label[1])), f"{int(label[1]):04d}")
    return label[1] if label and is_whole else None


def name_key(name: str) -> str:
    """Return what names that mean the same have in common."""
    return " ".join(name.casefold().split())


def person_by_id(catalog: Catalog, person_id: int) -> Person | None:
    """Return the person of this id, or whom it has become part of; None: there is nobody."""
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

    wholes: dict[str, list[str]] = defaultdict(list)
    words: dict[str, list[str]] = defaultdict(list)
    for name in names:
        wholes[without_accents(name.casefold())].append(name)
        for word in without_accents(name.casefold()).split():
            words[word].append(name)
    key = without_accents(key)
    # Of a name of several words one has to be clearly meant.
    near = [
        name
        for forms, cutoff in ((wholes, 0.6), (words, 0.75))
        for form in difflib.get_close_matches(key, forms, 3, cutoff)
        for name in forms[form]
    ]
    return list(dict.fromkeys(near))[:3]


def without_accents(text: str) -> str:
    """Return the text as somebody types it who has no keys for accents."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def clean_name(name: str) -> str:
    """Return the name in Unicode NFC with single spaces, without marks that cannot be seen but turn text round.

    Raises:
        UnusableNameError: it is empty, too long, not UTF-8, holds control characters, would be taken for a person's id,
            or would lead out of the people folder.
    """
    seen = "".join(c for c in name if c in _JOINERS or unicodedata.category(c) != "Cf")
    cleaned = " ".join(unicodedata.normalize("NFC", seen).split())
    if not cleaned:
        raise UnusableNameError(
            "the new name is empty; write one, for example: facewatch rename p12 Anna", on_page="the new name is empty"
        )
    if len(cleaned) > MAX_NAME_LENGTH:
        raise UnusableNameError(f"the new name has {len(cleaned)} characters; at most {MAX_NAME_LENGTH} are possible")
    if cleaned != whole_text(cleaned):
        raise UnusableNameError(f"the new name {name!r} is not UTF-8; leave out what is not")
    if any(unicodedata.category(c) == "Cc" for c in cleaned):
        raise UnusableNameError(f"the new name {name!r} holds control characters; leave them out")
    if cleaned.startswith("/") or ".." in re.split(r"[/\\]", cleaned):
        raise UnusableNameError(f"{cleaned!r} would lead out of the people folder; leave out the slashes and dots")
    typed = ids.read_id(cleaned)
    if typed or _LABEL.fullmatch(cleaned):
        kind = "face" if typed and typed.kind == ids.FACE else "person"
        raise UnusableNameError(f"{cleaned!r} would be taken for the id of a {kind}; choose another name")
    return cleaned


class Lookup:
    """Finds the person, photo, face or link that a user means."""

    def __init__(self, catalog: Catalog, people_folder: Path) -> None:
        self._catalog = catalog
        self._people_folder = people_folder

    def person(self, who: str) -> Person:
        """See `find_person`."""
        return find_person(self._catalog, who)

    def photo(self, path: Path) -> dict[str, Any]:
        """Return what is known of the photo at this path.

        Raises:
            NotKnownError: the path is not in the catalog.
        """
        file, full = self._file(path), Path.cwd() / path
        faces = self._catalog.faces.in_photo(file.photo_id) if file.photo_id is not None else []
        return {
            "path": str(full),
            "photo_id": file.photo_id,
            "fault": file.fault,
            "is_waiting": self._waits_for_engine(file.photo_id),
            "faces": faces,
        }

    def _waits_for_engine(self, photo_id: int | None) -> bool:
        """Whether only an engine that is not in use yet has analysed the photo."""
        in_use = self._catalog.engines.in_use_id()
        return photo_id is not None and in_use is not None and not self._catalog.faces.is_analysed(photo_id, in_use)

    def photo_id(self, path: Path) -> int:
        """Return the photo at this path.

        Raises:
            NotKnownError: there is none in the catalog.
        """
        file = self._file(path)
        if file.photo_id is None:
            raise NotKnownError(f"{path}: {file.fault or 'not a photo'}; it has no faces")
        return file.photo_id

    def link_at(self, path: Path) -> Linked | None:
        """Return what a link in the people folder stands for; None: this is no such link.

        The photo is the one that lies there now: the last scan may have seen another.
        """
        full = Path.cwd() / path
        linked = link_at(self._catalog, self._people_folder, full)
        file = self._file_at(full) if linked is not None else None
        if linked is None or file is None or file.photo_id is None:
            return linked
        return Linked(linked.person_id, file.photo_id)

    def _file(self, path: Path) -> KnownFile:
        """Return what the catalog knows of a file."""
        full = Path.cwd() / path
        linked = link_at(self._catalog, self._people_folder, full)
        try:
            is_directory, is_there = full.is_dir(), full.exists()
        except OSError as error:
            raise NotKnownError(f"{path}: {error.strerror}; name a photo of the library") from error
        if is_directory:
            raise NotKnownError(f"{path}: a folder; name a photo of the library")
        if linked is None and not is_there:
            raise NotKnownError(f"{path}: no such file; if it was moved, `facewatch scan` finds it again")
        file = self._file_at(full) or (self._any_file(linked.photo_id) if linked else None)
        if file is None:
            raise NotKnownError(f"{path}: not in the catalog; `facewatch scan` brings in what the libraries hold")
        return file

    def _file_at(self, full: Path) -> KnownFile | None:
        return self._catalog.files.at(full) or self._catalog.files.at(full.resolve())

    def _any_file(self, photo_id: int) -> KnownFile | None:
        """Return a file that holds a photo: one that a link stands for that is a copy, or whose photo was moved."""
        files = self._catalog.files.sources([photo_id]).get(photo_id, ())
        return self._catalog.files.at(Path(files[0])) if files else None
