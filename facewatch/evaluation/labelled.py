"""Who is on which photo, as somebody wrote it down: labels.csv, or a folder per person."""

from __future__ import annotations

import csv
import logging
import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from facewatch.catalog import display
from facewatch.errors import LibraryError, n_problems
from facewatch.folders import UNNAMED
from facewatch.library.scan import Rules

log = logging.getLogger(__name__)

LABELS = "labels.csv"

NOBODY_LABELLED = "ignore"
"""Quality of a face that is there, but nobody said whose it is."""
NO_FACE = "noface"
"""Quality of a photo that shows no face."""

_BOX = ("x", "y", "w", "h")
_MOST_SHOWN = 5
"""Faults that a message tells one by one."""

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
            where most folders are called like dates or a camera's folders: that is an album, and nobody's labels.
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
    every = (entry for entry in root.iterdir() if entry.is_dir() and entry.name != UNNAMED)
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
    """Return what is wrong when it cannot be told which face is whose."""
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
