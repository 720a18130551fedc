"""Finds the faces of the catalog that are nearest to those of a photo, best first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from facewatch.catalog import Catalog, KnownEngine, KnownFile, Mark, display
from facewatch.errors import EngineError, Fault, NotKnownError
from facewatch.matching.search import Near, Vectors
from facewatch.people.kept_vectors import KeptVectors, Mapped
from facewatch.people.lookup import faces_on_link
from facewatch.types import Box, Fingerprint, Kept

if TYPE_CHECKING:
    from facewatch.indexing.analyzer import Examination, LibraryFile
    from facewatch.indexing.engine import WantedEngine
    from facewatch.indexing.pool import Workers
    from facewatch.people.lookup import Lookup
    from facewatch.types import Analysis, Floats

_T = TypeVar("_T")

log = logging.getLogger(__name__)

NEVER_FOUND = frozenset({Mark.NOT_A_FACE, Mark.FORGOTTEN})


@dataclass(frozen=True, slots=True)
class FoundFace:
    """A face that looks like the one that was searched for."""

    rank: int
    """From 1, the nearest."""
    face_id: int
    person_id: int | None
    person: str | None
    """The name, or "Person 0012"; None: unassigned."""
    distance: float
    """Euclidean between unit vectors."""
    photo: str
    """A file that holds it, absolute."""
    number: int
    """Of the face in its photo, from left to right, from 1."""
    copies: tuple[str, ...]
    """The other files that hold the same photo."""


@dataclass(frozen=True, slots=True)
class NearFaces:
    """One face of a photo, and the faces nearest to it."""

    number: int
    """From left to right, from 1."""
    face_id: int | None
    """None: the photo is not in the catalog."""
    person_id: int | None
    person: str | None
    near_enough: float | None
    """The distance below which the thresholds would take a good face for the same person's; None: that is not known,
    because another engine than the one in use is wanted, or its files are absent."""
    found: tuple[FoundFace, ...]
    is_exact: bool
    """Whether every face was compared; else an index found those that are likely to be the nearest."""
    box: Box | None = None
    """Where it is, in pixels of the upright photo."""


@dataclass(frozen=True, slots=True)
class _Probe:
    """A face to search for; fields as in `NearFaces`."""

    number: int
    face_id: int | None
    person_id: int | None
    person: str | None
    vector: Floats | None
    """None: the engine in use has not seen it."""
    box: Box | None = None


class UnusablePhotoError(NotKnownError):
    """A photo by which nothing can be searched: it is none, is broken, or shows no face."""


_CHANGING = "another engine is about to know the faces; when a scan has completed that, search again"


class Search:
    """Finds faces in a catalog, by the engine in use."""

    def __init__(
        self,
        catalog: Catalog,
        wanted: WantedEngine,
        lookup: Lookup,
        workers: Callable[[], Workers],
        mapped: Kept[Mapped] | None = None,
        *,
        has_index: bool = False,
    ) -> None:
        """`workers` returns what analyses photos that the catalog does not know; the others: see `KeptVectors`."""
        self._catalog = catalog
        self._wanted = wanted
        self._lookup = lookup
        self._workers = workers
        self._kept = KeptVectors(catalog, mapped, has_index=has_index)
        self._engine: KnownEngine | None = None
        """The one in use when it was asked for last; what it says of its counts is old."""

    def keep_up(self) -> None:
        """Bring the file of vectors up to date with the faces that have come; next to no work when none did.

        Never fails for want of the file: that is logged, and searching does without.
        """
        with self._catalog.read():
            engine = self._engine_in_use()
            if engine is not None:
                self._kept.keep_up(engine)

    def like(self, photo: Path, *, face: int | None = None, k: int = 10, called: str = "") -> list[NearFaces]:
        """Return the `k` nearest faces for each face of a photo, or for one, by its number from left to right.

        The photo may lie anywhere. What the catalog knows of it is used; else it is analysed, and nothing is recorded.
        Other faces of the same photo may be found, the face itself is not. `called`: what the photo is called where
        something is wrong with it; else its path.

        Raises:
            NotKnownError: there is no such photo or face, no face in it, or none in the catalog.
            EngineError: the photo would have to be analysed by another engine than the one that knows the faces.
        """
        photo, face = self._on_link(photo, face)
        name = called or display(str(photo))
        with self._catalog.read():
            engine = self._engine_in_use()
            vectors = self._kept.load(engine) if engine else Vectors([])
            if engine is None or not len(vectors):
                raise NotKnownError(
                    f"{self._catalog.path}: holds no face yet; `facewatch scan PHOTOS` finds them",
                    on_page="no face is known yet; a scan finds them",
                )
            probes = _chosen(self._probes(photo, name, engine, vectors), name, face)
            rankings = vectors.nearest(np.stack([vector for _, vector in probes]))
            near_enough = self._near_enough(engine)
            return [
                NearFaces(
                    number=probe.number,
                    face_id=probe.face_id,
                    person_id=probe.person_id,
                    person=probe.person,
                    near_enough=near_enough,
                    found=tuple(islice(self._shown(ranking, probe.face_id, k), k)),
                    is_exact=vectors.is_exact,
                    box=probe.box,
                )
                for (probe, _), ranking in zip(probes, rankings, strict=True)
            ]

    def like_face(self, face_id: int, *, k: int = 10) -> NearFaces:
        """Return the `k` faces nearest to one of the catalog.

        Raises:
            NotKnownError: there is no such face, or the engine in use has not seen it.
        """
        with self._catalog.read():
            engine = self._engine_in_use()
            vectors = self._kept.load(engine) if engine else Vectors([])
            rows, known = self._catalog.faces.rows([face_id]), vectors.of([face_id])
            if engine is None or not rows or rows[0].mark in NEVER_FOUND or face_id not in known:
                raise NotKnownError("there is no such face, or the engine in use has not seen it")
            number, face = self._faces_of(rows[0].photo_id).get(face_id, (0, {}))
            (ranking,) = vectors.nearest(known[face_id][None])
            return NearFaces(
                number=number,
                face_id=face_id,
                person_id=rows[0].person_id,
                person=face.get("name"),
                near_enough=self._near_enough(engine),
                found=tuple(islice(self._shown(ranking, face_id, k), k)),
                is_exact=vectors.is_exact,
                box=rows[0].box,
            )

    def vectors(self) -> Vectors:
        """Return the vectors of all faces, as the engine in use sees them."""
        with self._catalog.read():
            engine = self._engine_in_use()
            return self._kept.load(engine) if engine else Vectors([])

    def vectors_at_hand(self, engine_id: int) -> Vectors | None:
        """Return the vectors of all faces, as this engine sees them, from the file and without writing it; None: there
        is none, or the engine is not the one in use."""
        with self._catalog.read():
            engine = self._engine_in_use()
            return self._kept.at_hand(engine) if engine is not None and engine.id == engine_id else None

    def _near_enough(self, engine: KnownEngine) -> float | None:
        """Return how near a face must be to one of a person's to be matched with it."""
        try:
            wanted = self._wanted.info
        except EngineError:
            return None
        if wanted.fingerprint != engine.fingerprint:
            return None
        strictness = self._wanted.settings.strictness
        return wanted.thresholds.match - wanted.thresholds.less(self._catalog.assignments.count()) - strictness

    def _on_link(self, photo: Path, face: int | None) -> tuple[Path, int | None]:
        """Return the photo that a link in somebody's folder stands for, and that person's face, if there is one."""
        linked = self._lookup.link_at(photo)
        if linked is None:
            return photo, face
        files = self._catalog.files.sources([linked.photo_id]).get(linked.photo_id, ())
        of_person = faces_on_link(self._catalog, linked)
        if face is None and len(of_person) == 1:
            face, _ = self._faces_of(linked.photo_id)[of_person[0]]
        return Path(files[0]) if files else photo, face

    def _engine_in_use(self) -> KnownEngine | None:
        # All of them are counted through when they are listed, so only when it is another one.
        if self._engine is None or self._engine.id != self._catalog.engines.in_use_id():
            self._engine = next((engine for engine in self._catalog.engines.all() if engine.is_in_use), None)
        return self._engine

    # --- what is found ---

    def _shown(self, ranking: Iterable[Near], probe_id: int | None, k: int) -> Iterator[FoundFace]:
        """Yield what may be shown of a ranking, in its order."""
        others = (near for near in ranking if near.face_id != probe_id)
        n_shown, n_asked = 0, k
        while batch := list(islice(others, n_asked)):
            for found in self._visible(batch, n_shown):
                n_shown = found.rank
                yield found
            n_asked *= 4

    def _visible(self, batch: Sequence[Near], rank: int) -> Iterator[FoundFace]:
        """Yield the faces that are in the library, not taken out by a user, and seen by the engine in use."""
        rows = self._catalog.faces.rows([near.face_id for near in batch])
        photo_of = {row.id: row.photo_id for row in rows if row.mark not in NEVER_FOUND}
        files = self._catalog.files.sources(set(photo_of.values()))
        for near in batch:
            photo_id = photo_of.get(near.face_id)
            if photo_id is None or photo_id not in files:
                continue
            number, face = self._faces_of(photo_id).get(near.face_id, (0, {}))
            if not number:
                continue
            rank += 1
            yield FoundFace(
                rank=rank,
                face_id=near.face_id,
                person_id=face["person_id"],
                person=face["name"],
                distance=near.distance,
                photo=files[photo_id][0],
                number=number,
                copies=files[photo_id][1:],
            )

    def _faces_of(self, photo_id: int) -> dict[int, tuple[int, dict[str, Any]]]:
        faces: list[dict[str, Any]] = self._catalog.faces.in_photo(photo_id)
        return {face["face_id"]: (number, face) for number, face in enumerate(faces, 1)}

    # --- what is searched for ---

    def _probes(self, photo: Path, name: str, engine: KnownEngine, vectors: Vectors) -> list[_Probe]:
        full = Path.cwd() / photo
        file = self._catalog.files.at(full) or self._catalog.files.at(full.resolve())
        if file is not None and file.photo_id is not None and _is_as_recorded(full, file):
            return self._known_faces(name, file.photo_id, engine, vectors)
        if not full.is_file():
            what = "a folder" if full.is_dir() else "not a file" if full.exists() else "no such file"
            raise NotKnownError(f"{name}: {what}; name a photo")
        return self._visible_faces(name, full.resolve(), engine, vectors)

    def _known_faces(self, name: str, photo_id: int, engine: KnownEngine, vectors: Vectors) -> list[_Probe]:
        if not self._catalog.faces.is_analysed(photo_id, engine.id):
            raise EngineError(
                f"{name}: {engine.name}, which knows the other faces, has not analysed it; "
                "`facewatch scan` completes the change to another engine, then search again",
                on_page=_CHANGING,
            )
        faces = self._faces_of(photo_id)
        table = self._catalog.faces.load(engine.id, n_dims=engine.n_dims, photo_id=photo_id)
        known = dict(zip(table.ids.tolist(), table.embeddings, strict=True))
        # Those that stay with nobody are not among them. Searching all vectors takes longer, so only for these.
        if others := faces.keys() - known.keys():
            known |= vectors.of(others)
        return [
            _Probe(number, face_id, face["person_id"], face["name"], known.get(face_id), _box_of(face))
            for face_id, (number, face) in faces.items()
            if face["mark"] not in NEVER_FOUND
        ]

    def _visible_faces(self, name: str, full: Path, engine: KnownEngine, vectors: Vectors) -> list[_Probe]:
        """Analyse a photo whose path the catalog does not know."""
        wanted = self._wanted.info
        if wanted.fingerprint != engine.fingerprint:
            raise EngineError(
                f"{name}: not in the catalog, and {wanted.name} would analyse it while the other faces are known by "
                f"{engine.name}; `facewatch scan` completes the change, then search again",
                on_page=_CHANGING,
            )
        examined = self._examine(name, full)
        photo_id = self._catalog.photos.with_hash(examined.sha256) if examined.sha256 else None
        if photo_id is not None and self._catalog.faces.is_analysed(photo_id, engine.id):
            return self._known_faces(name, photo_id, engine, vectors)
        faces = sorted(self._analyse(name, full, examined).faces, key=lambda face: face.box.x)
        return [_Probe(number, None, None, None, face.embedding, face.box) for number, face in enumerate(faces, 1)]

    def _examine(self, name: str, full: Path) -> Examination:
        examined = _answer(self._workers().examine(_file(full)), name)
        if examined.fault:
            raise _unusable(name, f"{examined.fault.text}; {examined.fault.advice}")
        if examined.sha256 is None:
            raise UnusablePhotoError(f"{name}: not a photo; name a photo", on_page="this is not a photo")
        return examined

    def _analyse(self, name: str, full: Path, examined: Examination) -> Analysis:
        analysed = _answer(self._workers().analyse(_file(full), examined.fingerprint), name)
        if analysed is None:
            raise _unusable(name, "changed while it was read; search again")
        if isinstance(analysed, Fault):
            raise _unusable(name, f"{analysed.text}; {analysed.advice}")
        return analysed


def _box_of(face: Mapping[str, Any]) -> Box:
    return Box(face["x"], face["y"], face["w"], face["h"], face["turn"])


def _answer(future: Future[_T], name: str) -> _T:
    """Return what analysing a photo gave."""
    from facewatch.indexing.worker import WorkerLost

    try:
        return future.result()
    except OSError as error:
        raise _unusable(name, f"cannot be read: {error.strerror or error}; make it readable") from error
    except WorkerLost as error:
        raise _unusable(name, f"{error.fault.text}; {error.fault.advice}") from error


def _unusable(name: str, what: str) -> UnusablePhotoError:
    """Return what to raise about a photo; one that a page sent has no name."""
    return UnusablePhotoError(f"{name}: {what}", on_page=f"this photo cannot be used: {what}")


def _file(photo: Path) -> LibraryFile:
    """Return a photo that need not be in a library."""
    from facewatch.indexing.analyzer import LibraryFile

    return LibraryFile(str(photo.parent), photo.name)


def _chosen(probes: Sequence[_Probe], name: str, number: int | None) -> list[tuple[_Probe, Floats]]:
    """Return the faces to search for with their vectors: the one of this number, or all that have one."""
    if not probes:
        raise UnusablePhotoError(
            f"{name}: no face found in it; name a photo with a face", on_page="no face is found in this photo"
        )
    wanted = [probe for probe in probes if number in (None, probe.number)]
    if not wanted:
        numbers = ", ".join(str(probe.number) for probe in probes)
        raise NotKnownError(f"{name}: has no face {number}; from left to right it has {numbers}")
    chosen = [(probe, probe.vector) for probe in wanted if probe.vector is not None]
    if not chosen:
        which = "none of its faces" if number is None else f"face {number} of it"
        seen = "was seen" if number is None else "was not seen"
        what = f"{which} {seen} by the engine in use; search by another photo of this person"
        raise UnusablePhotoError(f"{name}: {what}", on_page=what)
    return chosen


def _is_as_recorded(full: Path, file: KnownFile) -> bool:
    """Whether a file is what the catalog says, or cannot be asked now: a drive may be unplugged."""
    try:
        now = Fingerprint.of(full.stat())
    except OSError:
        return True
    return (now.size, now.mtime_ns) == (file.fingerprint.size, file.fingerprint.mtime_ns)
