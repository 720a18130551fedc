"""What is evaluated: a clusterer alone, and the app with all photos at once or in batches."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from facewatch.catalog import NOBODY, FaceTable
from facewatch.evaluation.metrics import Agreement, bcubed, n_photos_twice

if TYPE_CHECKING:
    from facewatch.app import App
    from facewatch.evaluation.labelled import Photo, Sample
    from facewatch.types import Ints

CLUSTERING, ALL_AT_ONCE, STREAMING = "clustering", "all at once", "streaming"


@dataclass(frozen=True, slots=True)
class Arrival:
    """How photos arrive: in random order, in so many batches."""

    n_batches: int = 20
    seed: int = 0


class OpenApp(Protocol):
    """Opens an app whose catalog lies in this empty folder; its settings are those that are judged, but for some."""

    def __call__(self, folder: Path, /, **settings: Any) -> App: ...


PLAIN = {"match.normalised": False}
"""Similarities as they come, whatever is judged."""


def plainly(open_app: OpenApp) -> OpenApp:
    """Return what opens the same apps, which take similarities as they come."""
    return lambda folder, /, **settings: open_app(folder, **settings, **PLAIN)


@contextmanager
def scratch(open_app: OpenApp) -> Iterator[App]:
    """Yield an app with an empty catalog, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="facewatch-evaluate-") as folder, open_app(Path(folder)) as app:
        yield app


@dataclass(frozen=True, slots=True)
class BatchScore:
    """How well it went so far, while photos arrived."""

    n_photos: int
    bcubed: Agreement
    """Of the labelled faces that have arrived."""


@dataclass(frozen=True, slots=True)
class Partition:
    """What one way of working made of the labelled faces."""

    way: str
    method: str
    groups: Ints
    """The group of each face of the sample; a face that belongs to nobody has a number of its own."""
    n_photos_twice: int
    """Photos in which one person was found twice, unlabelled faces included."""
    steps: tuple[BatchScore, ...]
    """After each batch, where photos came in batches."""
    seconds: float
    is_normalised: bool
    """Whether similarities were judged by strangers (see `cohort`), and not taken as they come."""

    @property
    def likeness(self) -> str:
        return "normalised" if self.is_normalised else "plain"


def by_clustering(sample: Sample, open_app: OpenApp, method: str) -> Partition:
    """Return what the clusterer makes of all labelled faces, whatever their quality."""
    from facewatch.clustering import make_clusterer

    with scratch(open_app) as app:
        limits, config, normalisation = app.engine.info.thresholds, app.config, app.engine.normalisation
    started = perf_counter()
    clusterer = make_clusterer(
        method,
        ceiling=limits.cluster - config["match.strictness"],
        singleton_penalty=limits.singleton_penalty,
        margin=limits.cluster_margin,
        copy=limits.copy,
        min_faces=config["cluster.min_faces"],
        normalisation=normalisation,
    )
    labels = clusterer.fit_predict(sample.embeddings, photos=sample.photo)
    n_twice = n_photos_twice(sample.photo[labels >= 0], labels[labels >= 0])
    seconds = perf_counter() - started
    return Partition(CLUSTERING, method, alone(labels), n_twice, (), seconds, normalisation is not None)


def all_at_once(sample: Sample, open_app: OpenApp, method: str) -> Partition:
    """Return what the app makes of all photos when the first scan finds them."""
    return _as_the_service_does(sample, open_app, ALL_AT_ONCE, method, [sample.photos])


def streaming(
    sample: Sample,
    open_app: OpenApp,
    method: str,
    arrival: Arrival,
    *,
    batch_done: Callable[[], None] = lambda: None,
) -> Partition:
    """Return what the app makes of photos that arrive in random order, grouping after each batch.

    `batch_done` is called after each.
    """
    batches = shuffled_batches(sample.photos, arrival)
    return _as_the_service_does(sample, open_app, STREAMING, method, batches, batch_done)


def shuffled_batches(photos: Sequence[Photo], arrival: Arrival) -> list[Sequence[Photo]]:
    """Return the photos in random order in batches of equal size, the last ones smaller by one; none is empty."""
    order = list(photos)
    random.Random(arrival.seed).shuffle(order)
    sizes = [len(part) for part in np.array_split(np.arange(len(order)), max(1, min(arrival.n_batches, len(order))))]
    ends = np.cumsum(sizes).tolist()
    return [order[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def alone(labels: Ints) -> Ints:
    """Return the labels with a number of its own for each face that has none (-1)."""
    numbered = labels.copy()
    is_noise = labels < 0
    numbered[is_noise] = labels.max(initial=-1) + 1 + np.arange(is_noise.sum())
    return numbered


def _as_the_service_does(
    sample: Sample,
    open_app: OpenApp,
    way: str,
    method: str,
    batches: Sequence[Sequence[Photo]],
    batch_done: Callable[[], None] = lambda: None,
) -> Partition:
    started = perf_counter()
    with scratch(open_app) as app:
        library = Library(app)
        steps = []
        for batch in batches:
            library.add(batch)
            app.grouping.recluster(method=method)
            steps.append(library.step(sample))
            batch_done()
        groups = alone(library.people_of(sample))
        n_twice = library.n_photos_twice()
        is_normalised = app.engine.normalisation is not None
    return Partition(way, method, groups, n_twice, tuple(steps), perf_counter() - started, is_normalised)


class Library:
    """A catalog that photos arrive in, analysed already; the rest is what the indexer and the app do."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.catalog = app.catalog
        self._engine_id = app.engine.id
        self._face_ids: dict[bytes, list[int]] = {}
        with self.catalog.write():
            self._root_id = self.catalog.roots.add(Path("/"), 0, self.catalog.now())

    def add(self, photos: Sequence[Photo]) -> None:
        """Record the photos and settle their faces one photo after the other."""
        with self.catalog.write():
            for photo in photos:
                self._app.identities.match_photo(self._record(photo))

    def _record(self, photo: Photo) -> int:
        catalog, analysis, now = self.catalog, photo.analysis, self.catalog.now()
        size = analysis.width, analysis.height
        photo_id = catalog.photos.add(photo.sha256, size, analysis.format, now)
        path = photo.file.lstrip("/")
        catalog.files.record(self._root_id, path, photo.fingerprint, photo_id=photo_id, fault=None, now=now)
        self._face_ids[photo.sha256] = catalog.faces.add_analysis(photo_id, self._engine_id, analysis, now)
        return photo_id

    def people_of(self, sample: Sample) -> Ints:
        """Return the person of each face of the sample, -1 for nobody."""
        return self._people_of(self.rows(sample)[1])

    def step(self, sample: Sample) -> BatchScore:
        """Return how well it went so far with the labelled faces that are there."""
        rows, face_ids = self.rows(sample)
        return BatchScore(len(self._face_ids), bcubed(sample.person[rows], alone(self._people_of(face_ids))))

    def n_photos_twice(self) -> int:
        table = self._known()
        return n_photos_twice(table.photos, table.people)

    def rows(self, sample: Sample) -> tuple[Ints, list[int]]:
        """Return row and face id of each face of the sample whose photo is there."""
        rows, face_ids = [], []
        for row, (photo, face) in enumerate(zip(sample.photo.tolist(), sample.face.tolist(), strict=True)):
            if (ids := self._face_ids.get(sample.photos[photo].sha256)) is not None:
                rows.append(row)
                face_ids.append(ids[face])
        return np.array(rows, np.int64), face_ids

    def _people_of(self, face_ids: Sequence[int]) -> Ints:
        person = self.people()
        return np.array([person.get(face_id, -1) for face_id in face_ids], np.int64)

    def people(self) -> dict[int, int]:
        """Return the person of each face that belongs to somebody."""
        table = self._known()
        return dict(zip(table.ids.tolist(), table.people.tolist(), strict=True))

    def faces_of(self) -> dict[int, list[int]]:
        """Return the faces of everybody."""
        faces: dict[int, list[int]] = {}
        for face_id, person_id in self.people().items():
            faces.setdefault(person_id, []).append(face_id)
        return faces

    def table(self) -> FaceTable:
        """Return the faces that are there and that no user took out."""
        return self.catalog.faces.load(self._engine_id, n_dims=self._app.engine.info.n_dims)

    def _known(self) -> FaceTable:
        """Return the faces that belong to somebody."""
        table = self.table()
        return table.take(table.people != NOBODY)
