"""Who is on which photo, as somebody wrote it down (labels.csv or a folder per person), and the found face of each."""

from __future__ import annotations

import csv
import logging
import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facewatch.boxes import SAME_FACE, overlaps, pair_up
from facewatch.catalog import display
from facewatch.errors import LibraryError, n_problems
from facewatch.folders.model import PARENTS
from facewatch.library.scan import Rules
from facewatch.types import Analysis, Box, Face, Fingerprint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facewatch.evaluation.analyses import Analyses

log = logging.getLogger(__name__)

LABELS = "labels.csv"

NOBODY_LABELLED = "ignore"
"""Quality of a face that is there, but nobody said whose it is."""
NO_FACE = "noface"
"""Quality of a photo that shows no face."""

_BOX = ("x", "y", "w", "h")
_MOST_SHOWN = 5
"""Faults that a message lists one by one."""

_EXAMPLE = (
    f"a folder per person (Anna/1.jpg, Anna/2.jpg, Ben/1.jpg), or a {LABELS} with the columns path,person and, where a "
    "photo has several faces, x,y,w,h (a/1.jpg,Anna,120,80,64,64)"
)


@dataclass(frozen=True, slots=True)
class Label:
    """One face of a photo, and whose it is."""

    person: str
    box: tuple[float, float, float, float] | None
    """x, y, w, h in pixels of the upright photo; None: the face in the middle, see `matching.middle_face`."""


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """One photo, and who is on it."""

    path: str
    """As the labels name it, below their folder."""
    labels: tuple[Label, ...]
    """None at all: the photo shows no face."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Photos with labels, in order of their paths."""

    root: Path
    """The folder that the paths are below."""
    photos: tuple[LabelledPhoto, ...]
    only: str = ""
    """What all the paths begin with."""

    def photos_of(self) -> Counter[str]:
        """Return how many photos each person is on."""
        return Counter(person for photo in self.photos for person in {label.person for label in photo.labels})


def sets_in(root: Path) -> list[Path]:
    """Return the labelled sets that a folder holds: the folders in it with a labels.csv, or itself where it has one of
    its own, or none of them has."""
    if (root / LABELS).is_file() or not root.is_dir():
        return [root]
    try:
        sets = sorted(folder for folder in root.iterdir() if (folder / LABELS).is_file())
    except OSError:
        return [root]  # `read_labels` says why
    return sets or [root]


def read_labels(root: Path, *, only: str = "", rules: Rules | None = None) -> Labelled:
    """Return the labelled photos whose paths below `root` begin with `only`.

    With a labels.csv at the top of `root` that is asked and nothing else: columns path (below `root`) and person, and
    where they are there x, y, w, h and quality. A row without a person is a face that nobody labelled (quality
    ignore), or says that the photo has none (quality noface).

    Otherwise every folder in `root` is a person, and all photos below it show that person; what is hidden or passed
    over by the rules, and the folder where facewatch keeps unnamed people, is left out.

    Raises:
        LibraryError: there are no labels, they are wrong, or too few to compare; the message says what is needed. Also
            where most folders are called like dates or a camera's folders: that is an album, not labels.
    """
    _check_folder(root)
    photos = _read_csv(root) if (root / LABELS).is_file() else _read_folders(root, rules or Rules())
    if not photos:
        raise LibraryError(f"{root}: no labelled photos in it; evaluate needs {_EXAMPLE}")
    chosen = tuple(photo for photo in photos if photo.path.startswith(only))
    if not chosen:
        raise LibraryError(
            f"{root}: no labelled photo begins with {only!r}; the first one is {display(photos[0].path)}"
        )
    labelled = Labelled(root, chosen, only)
    check_counts(root, labelled.photos_of())
    return labelled


def check_counts(root: Path, photos_of: Mapping[str, int], *, who: str = "labelled") -> None:
    """Refuse what has nothing to compare.

    Raises:
        LibraryError: fewer than two people, or none of them on two photos.
    """
    needs = "needs at least two people, and two photos of one of them"
    if len(photos_of) < 2:
        names = f"only {next(iter(photos_of))}" if photos_of else "nobody"
        raise LibraryError(f"{root}: {names} is {who} in it; evaluate {needs}")
    if max(photos_of.values()) < 2:
        raise LibraryError(f"{root}: {len(photos_of)} people are {who}, none on two photos; evaluate {needs}")


def _check_folder(root: Path) -> None:
    if not root.is_dir():
        what = "not a folder" if root.exists() else "does not exist"
        raise LibraryError(f"{root}: {what}; name a folder of labelled photos: {_EXAMPLE}")
    try:
        is_empty = not any(root.iterdir())
    except OSError as error:
        raise LibraryError(f"{root}: cannot be listed: {error.strerror}; make it readable") from error
    if is_empty:
        raise LibraryError(f"{root}: empty; evaluate needs {_EXAMPLE}")


# --- a folder per person ---


def _read_folders(root: Path, rules: Rules) -> list[LabelledPhoto]:
    every = (entry for entry in root.iterdir() if entry.is_dir() and entry.name not in PARENTS)
    folders = sorted(entry for entry in every if not rules.why_passed(entry.name, root, is_folder=True))
    _check_names(root, [folder.name for folder in folders])
    return [
        LabelledPhoto(path, (Label(_name(folder.name), None),))
        for folder in folders
        for path in sorted(_photos_below(root, folder, rules))
    ]


_YEAR = r"(?:18|19|20)\d\d"
_MONTH = (
    r"(?:jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|apr(?:il)?|may|mai|june?|juni|july?|juli|aug(?:ust)?"
    r"|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)"
)
"""Alone it may be somebody's name."""
_ALBUM = re.compile(
    rf"{_YEAR}"
    rf"|{_YEAR}[ ._-]*(?:[01]\d|q[1-4])(?:[ ._-]*[0-3]\d)?(?!\d).*"
    rf"|{_YEAR}[ ._-]+\D.*"
    rf"|[0-3]?\d[._-][01]?\d[._-]{_YEAR}.*"
    rf"|(?:[0-3]?\d[. ]+)?{_MONTH}[ ._-]*{_YEAR}.*"
    r"|dcim|\d{3}[a-z_]{5}|camera( roll)?",
    re.IGNORECASE,
)


def looks_like_album(name: str) -> bool:
    """Whether a folder is called like a year, a month, a day or what a camera writes, and not like a person."""
    return _ALBUM.fullmatch(unicodedata.normalize("NFC", display(name)).strip()) is not None


def _check_names(root: Path, names: Sequence[str]) -> None:
    """Refuse folders of years, months and cameras: whoever is in them, they are not one person each."""
    like_dates = list(filter(looks_like_album, names))
    some = ", ".join(map(display, like_dates[:_MOST_SHOWN])) + (", ..." if len(like_dates) > _MOST_SHOWN else "")
    if len(like_dates) > len(names) / 2:
        raise LibraryError(
            f"{root}: its folders are called like dates or a camera's folders ({some}), not like people; evaluate has "
            f"to be told who is who. Put photos of people you know into {_EXAMPLE}"
        )
    if like_dates:
        log.warning(
            "%s: %s: taken for the name of a person, though it looks like a date; move the folder out if it is one",
            root,
            some,
        )


def _photos_below(root: Path, folder: Path, rules: Rules) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        below = os.path.relpath(parent, root)
        folders[:] = [name for name in folders if not rules.why_passed(f"{below}/{name}", root, is_folder=True)]
        for name in files:
            path = f"{below}/{name}"
            if not rules.why_passed(path, root, is_folder=False) and _is_photo(root / path):
                yield path


def _is_photo(path: Path) -> bool:
    """Whether a file is or claims to be a photo; links count as what they lead to, as in a people folder."""
    from facewatch import decode  # not above: the command line loads this module to show its help

    if decode.claims_to_be_photo(path.name):
        return path.is_file()
    try:
        # A pipe would be waited for.
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return decode.sniff(file.read(decode.HEAD_BYTES)).is_image
    except OSError:
        return False


# --- labels.csv ---


def _read_csv(root: Path) -> list[LabelledPhoto]:
    file = root / LABELS
    rows = list(_rows(file))
    faults: list[str] = []
    labels: dict[str, list[Label]] = {}
    for line, row in rows:
        path, person = (row["path"] or "").strip(), _name(row["person"] or "")
        quality = (row.get("quality") or "").strip()
        if fault := _fault(root, path, row):
            faults.append(f"line {line}: {fault}")
        elif person and quality != NOBODY_LABELLED:
            labels.setdefault(path, []).append(Label(person, _box(row)))
        elif quality == NO_FACE:
            labels.setdefault(path, [])
    if rows and not faults and not labels and not any(_name(row["person"] or "") for _, row in rows):
        raise LibraryError(f"{file}: the column person is empty in all its rows; write down who each face is")
    faults += [f"{display(path)}: {fault}" for path, given in labels.items() if (fault := _unclear(given))]
    if faults:
        raise LibraryError(_listed(file, faults))
    return [LabelledPhoto(path, tuple(dict.fromkeys(labels[path]))) for path in sorted(labels)]


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Yield the number of the line where each row ends, and the row.

    Raises:
        LibraryError: it is no such table.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            missing = [name for name in ("path", "person") if name not in (reader.fieldnames or ())]
            if missing:
                raise LibraryError(
                    f"{file}: no column {' and no column '.join(missing)}; its first line must name the columns, for "
                    "example path,person,x,y,w,h"
                )
            for row in reader:
                yield reader.line_num, row
    except UnicodeDecodeError as error:
        raise LibraryError(f"{file}: not UTF-8 text; save it as UTF-8") from error
    except csv.Error as error:
        raise LibraryError(f"{file}: not a table of comma-separated values: {error}") from error
    except OSError as error:
        raise LibraryError(f"{file}: cannot be read: {error.strerror}") from error


def _fault(root: Path, path: str, row: Mapping[str, str | None]) -> str | None:
    if not path:
        return "no path"
    if "\0" in path or not (root / path).is_file():
        return f"there is no file {display(path)}"
    try:
        _box(row)
    except ValueError as error:
        return str(error)
    return None


def _box(row: Mapping[str, str | None]) -> tuple[float, float, float, float] | None:
    """Return the box of a row, None where all four numbers are empty.

    Raises:
        ValueError: it is no box.
    """
    texts = [(row.get(name) or "").strip() for name in _BOX]
    if not any(texts):
        return None
    shown = f"the box x,y,w,h is {','.join(texts)!r}"
    try:
        x, y, w, h = (float(text) for text in texts)
    except ValueError as error:
        raise ValueError(f"{shown}; it needs four numbers, or none") from error
    if not all(map(math.isfinite, (x, y, w, h))) or w <= 0 or h <= 0:
        raise ValueError(f"{shown}; width and height must be above 0")
    return x, y, w, h


def _unclear(labels: Sequence[Label]) -> str | None:
    """Return what is wrong when it is not known which face is whose."""
    people = sorted({label.person for label in labels if label.box is None})
    if people and len(set(labels)) > 1:
        return f"has {len(set(labels))} labels, and no box for {', '.join(people)}; give every one its x,y,w,h"
    return None


def _listed(file: Path, faults: Sequence[str]) -> str:
    more = [f"- and {len(faults) - _MOST_SHOWN} more"] if len(faults) > _MOST_SHOWN else []
    return "\n".join([f"{file}: {n_problems(faults)}", *(f"- {fault}" for fault in faults[:_MOST_SHOWN]), *more])


def _name(text: str) -> str:
    """Return a person's name so that two spellings of one text are one."""
    return " ".join(unicodedata.normalize("NFC", display(text)).split())


MIN_SHARE = 0.5
"""The face in the middle is looked for among those that are at least this share of the largest one's width."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One labelled photo that was analysed."""

    path: str
    """The first one that holds it, as the labels name it."""
    file: str
    """The same, absolute and without links."""
    sha256: bytes
    fingerprint: Fingerprint
    analysis: Analysis


@dataclass(frozen=True, slots=True)
class Sample:
    """The labelled faces that the engine found; row i of each array belongs together."""

    photos: tuple[Photo, ...]
    """In order of their paths; copies of one photo are one."""
    names: tuple[str, ...]
    """Everybody who has a label, sorted."""
    photo: NDArray[np.int64]
    """Row in `photos`."""
    face: NDArray[np.int64]
    """Which face of that photo."""
    person: NDArray[np.int64]
    """Row in `names`."""
    embeddings: NDArray[np.float32]
    """Unit vectors, shape (n_faces, n_dims)."""
    tiers: NDArray[np.str_]
    n_missed: int
    """Labelled faces that no detection fits."""
    n_disputed: int
    """Faces that the labels of copies give to two people (one photo in two people's folders); they are left out."""
    n_false: int
    """Faces found in photos that are labelled to show none."""
    n_unused: int
    """Photos that could not be used; their faces count as missed."""

    def __len__(self) -> int:
        return len(self.person)

    @property
    def n_labelled(self) -> int:
        return len(self) + self.n_missed + self.n_disputed

    def face_at(self, row: int) -> Face:
        return self.photos[int(self.photo[row])].analysis.faces[int(self.face[row])]


def make_sample(labelled: Labelled, analyses: Analyses, *, n_dims: int) -> Sample:
    """Return the labelled faces as arrays, in order of their photos' paths."""
    photos, n_lost, n_unused = _gather(labelled, analyses)
    names = tuple(sorted(labelled.photos_of()))
    number = {name: i for i, name in enumerate(names)}
    rows = [
        (i, face, number[next(iter(people))])
        for i, photo in enumerate(photos)
        for face, people in sorted(photo.people.items())
        if len(people) == 1
    ]
    table = np.array(rows, np.int64).reshape(-1, 3)
    faces = [photos[i].photo.analysis.faces[face] for i, face, _ in rows]
    return Sample(
        photos=tuple(gathered.photo for gathered in photos),
        names=names,
        photo=table[:, 0],
        face=table[:, 1],
        person=table[:, 2],
        embeddings=np.array([face.embedding for face in faces], np.float32).reshape(-1, n_dims),
        tiers=np.array([face.quality.tier.value for face in faces], np.str_),
        n_missed=n_lost + sum(len(photo.missed) for photo in photos),
        n_disputed=sum(len(people) > 1 for photo in photos for people in photo.people.values()),
        n_false=sum(len(photo.photo.analysis.faces) for photo in photos if photo.is_empty),
        n_unused=n_unused,
    )


@dataclass(slots=True)
class _Gathered:
    """A photo, and what the labels of all its copies say together."""

    photo: Photo
    people: dict[int, set[str]] = field(default_factory=dict)
    """Who each labelled face is said to be, by its number."""
    missed: list[Label] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not self.people and not self.missed

    def add(self, labels: Sequence[Label]) -> None:
        """Add the labels of one copy; a face that was missed there, too, is missed once."""
        found = match(labels, self.photo.analysis)
        for i, label in enumerate(labels):
            if i in found:
                self.people.setdefault(found[i], set()).add(label.person)
            elif not any(_is_same(label, other) for other in self.missed):
                self.missed.append(label)


def _gather(labelled: Labelled, analyses: Analyses) -> tuple[list[_Gathered], int, int]:
    """Return each photo once, and how many labels were lost with how many photos that could not be used."""
    photos: dict[bytes, _Gathered] = {}
    n_lost = n_unused = 0
    for one in labelled.photos:
        file = str(resolved(labelled.root, one))
        known = analyses.files.get(file)
        if known is None or known.sha256 not in analyses.photos or file in analyses.faults:
            n_lost, n_unused = n_lost + len(one.labels), n_unused + 1
            continue
        fingerprint = Fingerprint(known.size, known.mtime_ns, 0)
        photo = Photo(one.path, file, known.sha256, fingerprint, analyses.photos[known.sha256])
        photos.setdefault(known.sha256, _Gathered(photo)).add(one.labels)
    return list(photos.values()), n_lost, n_unused


def resolved(root: Path, photo: LabelledPhoto) -> Path:
    """Return where a labelled path leads, links followed: a people folder of links is a folder of labels, too."""
    return (root / photo.path).resolve()


def _is_same(label: Label, other: Label) -> bool:
    if label.person != other.person or (label.box is None) != (other.box is None):
        return False
    if label.box is None or other.box is None:
        return True
    return bool(overlaps(np.array(label.box), np.array(other.box))[0, 0] >= SAME_FACE)


def match(labels: Sequence[Label], analysis: Analysis) -> dict[int, int]:
    """Return the number of the detected face for each label that has one, by the label's number.

    A box is the detection that overlaps it most, one to one, best first, from `boxes.SAME_FACE` on. A label without a
    box is the face in the middle, see `middle_face`.
    """
    boxed = [i for i, label in enumerate(labels) if label.box is not None]
    wanted = np.array([labels[i].box for i in boxed], np.float64)
    detected = np.array([(face.box.x, face.box.y, face.box.w, face.box.h) for face in analysis.faces], np.float64)
    found = {boxed[i]: face for i, face in pair_up(wanted, detected)}
    middle = middle_face(analysis)
    without_box = [i for i, label in enumerate(labels) if label.box is None]
    return found | {i: middle for i in without_box if middle is not None}


def middle_face(analysis: Analysis) -> int | None:
    """Return which face a label without a box means: the one nearest to the middle of the photo among those at least
    half as wide as the widest. So LFW has it ("the face that contains the centre of the image", Huang et al. 2007),
    where people in the background are smaller. None: there is no face.
    """
    boxes = [face.box for face in analysis.faces]
    if not boxes:
        return None
    widest = max(box.w for box in boxes)
    large = [i for i, box in enumerate(boxes) if box.w >= MIN_SHARE * widest]
    return min(large, key=lambda i: (_off_centre(boxes[i], analysis), i))


def _off_centre(box: Box, analysis: Analysis) -> float:
    """Return the squared distance in pixels of a box's middle from the photo's."""
    return (box.x + box.w / 2 - analysis.width / 2) ** 2 + (box.y + box.h / 2 - analysis.height / 2) ** 2
