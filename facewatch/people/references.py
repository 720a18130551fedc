"""Reference pictures: a folder, or a file, for each person, from which people are known before a library names any.

Of each picture its only face shows who that is, or the one that is clearly the largest. The pictures may lie anywhere
and go afterwards: what the engine saw stays, and is compared with from then on.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facewatch.catalog import USER, Catalog, FaceRow, Mark
from facewatch.errors import Fault, LibraryError, NotKnownError, PhotoError
from facewatch.folders.model import MARKER
from facewatch.indexing.analyzer import LibraryFile
from facewatch.indexing.worker import WorkerLost
from facewatch.people.lookup import clean_name, name_key
from facewatch.people.reference_groups import join_groups
from facewatch.people.reference_taking import ReferenceFace
from facewatch.types import Analysis, Box, Progress, Tier

if TYPE_CHECKING:
    from facewatch.indexing.engine import WantedEngine
    from facewatch.indexing.pool import Workers
    from facewatch.people.apply import Corrections
    from facewatch.people.identities import Identities
    from facewatch.types import OnDemand

CLEARLY_LARGER = 2.0
"""Times the next one's area: who is so much larger than everybody else in a picture is whom it is of."""


@dataclass(frozen=True, slots=True)
class ReferencePicture:
    """A file that is to show who somebody is."""

    path: str
    """Below the folder that was given."""
    name: str
    """Whom it shows."""


class Use(StrEnum):
    """What became of a picture."""

    TAKEN = "taken"
    KNOWN = "known"
    """Its face was that person's already, by the user's word."""
    NO_FACE = "no_face"
    SEVERAL = "several"
    """Several faces, of which none is clearly the largest."""
    POOR = "poor"
    """Its face is too small, blurred or dark to recognise anybody by."""
    DECIDED = "decided"
    """The user said that its face is somebody else, not that person, or nobody."""
    FAULTY = "faulty"
    """It cannot be read."""
    NAME = "name"
    """Nobody can be called so."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a picture, or would."""

    picture: ReferencePicture
    use: Use
    detail: str = ""
    """How many faces there are, what is wrong with the file or the name."""
    face: ReferenceFace | None = None
    """The one that shows who it is."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A face that a picture may be of."""

    box: Box
    tier: Tier
    row: FaceRow | None
    """As the catalog knows it; None: it does not."""
    number: int
    """Its place in what the engine found."""

    @property
    def area(self) -> int:
        return self.box.w * self.box.h


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is in a picture."""

    sha256: bytes
    candidates: tuple[_Candidate, ...]
    analysis: Analysis | None
    """None: the catalog has it."""


def reference_pictures(folder: Path) -> list[ReferencePicture]:
    """Return the files of a folder by whom they show: Anna/1.jpg and Anna.jpg show Anna; hidden ones are passed over.

    Raises:
        LibraryError: it is no folder, or cannot be read.
    """
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise LibraryError(
            f"{folder}: {error.strerror}; name a folder that has a folder, or a picture, for each person"
        ) from error
    found = []
    for entry in entries:
        if entry.is_dir():
            found += [ReferencePicture(path, entry.name) for path in _files_below(folder, entry.name)]
        else:
            found.append(ReferencePicture(entry.name, entry.stem))
    return found


def _files_below(folder: Path, name: str) -> Iterator[str]:
    for place, folders, files in os.walk(folder / name):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for file in sorted(files):
            if not file.startswith("."):
                yield str((Path(place) / file).relative_to(folder))


@dataclass(eq=False)
class References:
    """Takes reference pictures over."""

    catalog: Catalog
    engine: WantedEngine
    identities: Identities
    workers: OnDemand[Workers]
    corrections: Corrections
    roots: Sequence[Path]
    """The libraries."""

    def take_over(
        self, folder: Path, *, is_trial: bool = False, report: Callable[[Progress], None] = lambda _: None
    ) -> list[Outcome]:
        """Let the pictures in a folder show who people are, as one decision; returns what became of each.

        A trial changes nothing.

        Raises:
            LibraryError: it is none that can be meant.
            EngineError: the engine is being changed, or cannot be loaded.
            FolderError: it is decided, but the folders do not show it.
        """
        self._check(folder)
        _ = self.engine.id  # on record from now on; the first of a catalog is in use
        self.engine.check_is_in_use("pictures can be compared")
        pictures = reference_pictures(folder)
        outcomes: list[Outcome] = []
        for outcome in self._judged(folder, pictures):
            if outcome is not None:
                outcomes.append(outcome)
            report(Progress(len(outcomes), len(pictures), outcome.picture.path if outcome else ""))
        if not is_trial:
            self._take(outcomes)
        return outcomes

    def _check(self, folder: Path) -> None:
        given = folder.resolve()
        if any(root.resolve().is_relative_to(given) for root in self.roots):
            raise LibraryError(
                f"{folder}: is, or holds, a library, whose folders are not called after people; name a folder that has"
                " a folder, or a picture, for each person"
            )
        if (given / MARKER).exists():
            raise LibraryError(f"{folder}: is a people folder, which `facewatch folders` reads; name one of pictures")

    def _take(self, outcomes: Sequence[Outcome]) -> None:
        taken = sorted((one for one in outcomes if one.face), key=lambda one: name_key(one.picture.name))
        with self.corrections.deciding() as decisions, decisions.as_one(source="references", n_spoken=len(taken)):
            for _, group in groupby(taken, key=lambda one: name_key(one.picture.name)):
                theirs = list(group)
                faces = [one.face for one in theirs if one.face]
                decisions.take_references(theirs[0].picture.name, faces, self.engine.id)
            self.identities.renew({person_id for made in decisions.made for person_id in made.people})
            join_groups(self.catalog, self.identities.gallery(), self.engine, decisions)

    # --- what a picture shows ---

    def _judged(self, folder: Path, pictures: Sequence[ReferencePicture]) -> Iterator[Outcome | None]:
        """Yield what becomes of each; None: it is no picture."""
        waiting: deque[tuple[ReferencePicture, Callable[[], _Seen | str | None]]] = deque()
        for picture in pictures:
            waiting.append((picture, self._looking(folder / picture.path)))
            if len(waiting) > self.workers().n_workers:
                yield self._outcome(*waiting.popleft())
        while waiting:
            yield self._outcome(*waiting.popleft())

    def _looking(self, path: Path) -> Callable[[], _Seen | str | None]:
        """Have a worker look at a file; the answer is what is in it, or what is wrong with it, or None: no picture."""
        real = Path(os.path.realpath(path))
        file = LibraryFile(str(real.parent), real.name)
        try:
            examined = self.workers().examine(file).result()
        except (OSError, WorkerLost) as error:
            text = _text_of(error)
            return lambda: text
        if examined.fault is not None:
            fault = examined.fault.text
            return lambda: fault
        if examined.sha256 is None:
            return lambda: None
        sha256 = examined.sha256
        photo_id = self.catalog.photos.with_hash(sha256)
        if photo_id is not None and self.catalog.faces.is_analysed(photo_id, self.engine.id):
            known = _Seen(sha256, tuple(self._known(photo_id)), None)
            return lambda: known
        future = self.workers().analyse(file, examined.fingerprint)
        return lambda: _seen(sha256, future)

    def _known(self, photo_id: int) -> Iterator[_Candidate]:
        facts = {int(row["face_id"]): row for row in self.catalog.faces.in_photo(photo_id)}
        for number, row in enumerate(self.catalog.faces.rows(facts)):
            if row.mark is not Mark.NOT_A_FACE:
                yield _Candidate(row.box, Tier(facts[row.id]["tier"]), row, number)

    def _outcome(self, picture: ReferencePicture, look: Callable[[], _Seen | str | None]) -> Outcome | None:
        seen = look()
        if seen is None:
            return None
        if isinstance(seen, str):
            return Outcome(picture, Use.FAULTY, seen)
        try:
            key = name_key(clean_name(picture.name))
        except NotKnownError as error:
            return Outcome(picture, Use.NAME, str(error))
        person_id = next((i for i, name in self.catalog.people.names().items() if name_key(name) == key), None)
        if any(one.row and one.row.source == USER and one.row.person_id == person_id for one in seen.candidates):
            return Outcome(picture, Use.KNOWN)
        return self._chosen(picture, seen, person_id)

    def _chosen(self, picture: ReferencePicture, seen: _Seen, person_id: int | None) -> Outcome:
        """Which face of a picture shows who it is."""
        by_size = sorted(seen.candidates, key=lambda one: -one.area)
        if not by_size:
            return Outcome(picture, Use.NO_FACE)
        if len(by_size) > 1 and by_size[0].area < CLEARLY_LARGER * by_size[1].area:
            return Outcome(picture, Use.SEVERAL, str(len(by_size)))
        face = by_size[0]
        if face.tier is Tier.SHOW:
            return Outcome(picture, Use.POOR)
        if face.row is not None and self._is_decided(face.row, person_id):
            return Outcome(picture, Use.DECIDED, self.catalog.people.label(face.row.person_id or 0) or "")
        face_id = face.row.id if face.row else None
        n = str(len(by_size)) if len(by_size) > 1 else ""
        return Outcome(picture, Use.TAKEN, n, ReferenceFace(seen.sha256, face_id, seen.analysis, face.number))

    def _is_decided(self, row: FaceRow, person_id: int | None) -> bool:
        """Whether a user said that a face is not that person."""
        rejected = self.catalog.rejections.of_faces([row.id]).get(row.id, set())
        return row.mark is not None or row.source == USER or (person_id is not None and person_id in rejected)


def _seen(sha256: bytes, future: Future[Any]) -> _Seen | str | None:
    try:
        answer = future.result()
    except (OSError, PhotoError, WorkerLost) as error:
        return _text_of(error)
    if answer is None:
        return "it changed while it was being looked at; do that again"
    if isinstance(answer, Fault):
        return answer.text
    faces = [_Candidate(face.box, face.quality.tier, None, number) for number, face in enumerate(answer.faces)]
    return _Seen(sha256, tuple(faces), answer)


def _text_of(error: Exception) -> str:
    if isinstance(error, WorkerLost):
        return error.fault.text
    return f"cannot be read: {error.strerror or error}" if isinstance(error, OSError) else str(error)
