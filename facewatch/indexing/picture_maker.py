"""Has pictures made by worker processes, and keeps them.

All faces of a photo are cut out when one is asked for, because its decoding is what takes the time. Several that want
the same wait for one making of it, and what nobody waits for any more is not begun. What was asked for first comes
first: a browser asks for six at a time, what can be seen before the rest.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from facewatch.catalog import display
from facewatch.errors import EngineError, Fault, PhotoError
from facewatch.indexing.analyzer import LibraryFile
from facewatch.indexing.pictures import PictureName, PictureStore, face_name, photo_name
from facewatch.indexing.worker import StoppedError, WorkerLost
from facewatch.types import Box, Fingerprint

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.catalog.pictures import PicturedPhoto
    from facewatch.indexing.pool import PictureWorkers

log = logging.getLogger(__name__)

FACE_SIDE = 192
"""Pixels of a face in a list: six lines of text on an ordinary screen take 96, on a fine one twice that."""
LARGE_FACE_SIDE = 384
"""Of a face that fills a tile of a page."""
THUMB_SIDE = 320
"""Longer side in pixels of a photo among others."""
LARGE_SIDE = 1600
"""Of a photo that is looked at alone."""

MOST_LOST = 3
"""After so many photos in a row over which a worker was lost, none is opened for a while."""
PAUSE_SECONDS = 60.0
"""How long that is."""

AWAY_SECONDS = 5.0
"""How long a photo that was away is not looked for again: a page may ask for hundreds of faces of a drive that is."""

LOST_SECONDS = 600.0
"""How long a photo over which a worker was lost is not opened again: the machine may have had a bad moment."""

MOST_STOPPED = 3
"""How often a picture is begun again whose worker was let go just then."""

MOST_WAITING = 2000
"""Photos that may wait; what is asked for beyond that is refused."""
MOST_REMEMBERED = 10_000
"""Photos of which it is remembered that no picture can be made."""


class NoPicture(StrEnum):
    """Why there is no picture."""

    AWAY = "away"
    """The photo is not where it was, or was changed since it was scanned; it may come back."""
    BROKEN = "broken"
    """The photo cannot be decoded, or not within the limits."""
    OUTSIDE = "outside"
    """The face lies outside its photo."""
    BUSY = "busy"
    """Too much is asked for at once, or workers are lost over every photo; later there may be one."""
    OUTDATED = "outdated"
    """Something was forgotten meanwhile, perhaps this; whoever still may see it asks again."""


@dataclass(frozen=True, slots=True)
class MadePictures:
    """What became of the pictures of one photo."""

    jpegs: dict[PictureName, bytes] = field(default_factory=dict)
    """Those that were made."""
    reason: NoPicture = NoPicture.OUTSIDE
    """Why the others were not."""
    fault: Fault | None = None
    """What is wrong with the photo, if it is broken."""


@dataclass(frozen=True, slots=True)
class PictureOrder:
    """Pictures of one photo that are made together."""

    names: tuple[PictureName, ...]
    boxes: tuple[Box, ...]
    """Of the faces, in the order of the names; none: the whole photo is wanted."""
    files: tuple[tuple[LibraryFile, Fingerprint], ...]
    """Where the photo is; copies of it are as good."""
    ticket: str
    """See `PictureStore.ticket`."""

    @property
    def subject(self) -> Hashable:
        """What of a photo is wanted, however often it is ordered."""
        return self.files, bool(self.boxes), self.names[0].side


def order_faces(photo: PicturedPhoto, ticket: str, *, side: int = FACE_SIDE) -> PictureOrder:
    """Return what makes pictures of all faces of a photo; `ticket` was taken before the photo was read."""
    names = tuple(face_name(face.id, photo.sha256, face.box, side) for face in photo.faces)
    return PictureOrder(names, tuple(face.box for face in photo.faces), _files_of(photo), ticket)


def order_photo(photo: PicturedPhoto, ticket: str, *, side: int) -> PictureOrder:
    """Return what makes a picture of a whole photo, and the smaller one that costs nothing beside it."""
    sides = sorted({side, min(side, THUMB_SIDE)}, reverse=True)
    return PictureOrder(tuple(photo_name(photo.id, photo.sha256, one) for one in sides), (), _files_of(photo), ticket)


def _files_of(photo: PicturedPhoto) -> tuple[tuple[LibraryFile, Fingerprint], ...]:
    return tuple((LibraryFile(file.root, file.path), file.fingerprint) for file in photo.files)


@dataclass(frozen=True, slots=True)
class FoundPicture:
    """A picture that may be shown, and what makes it."""

    name: PictureName
    order: PictureOrder

    @property
    def is_in_library(self) -> bool:
        """What is in the library no more is not shown, even where a picture of it is kept."""
        return bool(self.order.files)


def find_face(catalog: Catalog, face_id: int, ticket: str, *, side: int = FACE_SIDE) -> FoundPicture | None:
    """Return the picture of a face; None: nobody knows the face, or its person was forgotten."""
    for photo in catalog.pictures.of_faces([face_id]):
        order = order_faces(photo, ticket, side=side)
        return FoundPicture(next(name for name in order.names if name.id == face_id), order)
    return None


def find_photo(catalog: Catalog, photo_id: int, ticket: str, *, side: int) -> FoundPicture | None:
    """Return the picture of a whole photo; None: nobody knows the photo."""
    for photo in catalog.pictures.of_photos([photo_id]):
        order = order_photo(photo, ticket, side=side)
        return FoundPicture(order.names[0], order)
    return None


@dataclass(slots=True, eq=False)
class _Waiting:
    """An order, and who waits for it."""

    order: PictureOrder
    waiters: list[Future[MadePictures]] = field(default_factory=list)
    is_urgent: bool = False
    n_tried: int = 0
    """Files that turned out not to have it."""
    n_stopped: int = 0
    """How often the workers were let go meanwhile."""

    @property
    def is_wanted(self) -> bool:
        return not all(waiter.cancelled() for waiter in self.waiters)


class PictureMaker:
    """Makes pictures and keeps them; may be asked by any number of threads."""

    def __init__(
        self, store: PictureStore, workers: PictureWorkers, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._workers = workers
        self._clock = clock
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        """Workers are asked by one thread at a time."""
        self._urgent: OrderedDict[tuple[PictureName, ...], _Waiting] = OrderedDict()
        """By what is wanted; the first is the next."""
        self._later: OrderedDict[tuple[PictureName, ...], _Waiting] = OrderedDict()
        self._running: dict[tuple[PictureName, ...], _Waiting] = {}
        self._refused: OrderedDict[Hashable, tuple[MadePictures, float]] = OrderedDict()
        """Of which subjects nothing can be made, and until when that is believed."""
        self._n_lost = 0
        self._paused_until = -math.inf
        self._is_broken = False
        """Whether no worker could be started."""
        self._is_closed = False

    def want(self, order: PictureOrder, *, is_urgent: bool = True) -> Future[MadePictures]:
        """Return what will hold the pictures; whoever wants them no more cancels it.

        What is not urgent is made when nothing else is, and by one worker at a time.
        """
        waiter: Future[MadePictures] = Future()
        self._renew_workers()
        with self._lock:
            answer = self._known_answer(order)
            if answer is None and not self._add(order, waiter, is_urgent=is_urgent):
                answer = MadePictures(reason=NoPicture.BUSY)
        if answer is not None:
            waiter.set_result(answer)
        self._begin()
        return waiter

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being made, and nothing waits to be."""
        with self._lock:
            return not (self._running or self._urgent or self._later)

    def rest(self) -> None:
        """Let go of the workers if there is nothing to do; the next order brings them back."""
        if self.is_idle:
            self._workers.close()

    def close(self) -> None:
        """End what is being made, and give up what waits and what comes."""
        with self._lock:
            self._is_closed = True
        self._give_up()
        self._workers.close()

    def _renew_workers(self) -> None:
        """Try again with new workers when none could be started and some time has gone by."""
        with self._lock:
            is_due = self._is_broken and self._clock() >= self._paused_until
            if is_due:
                self._is_broken = False
        if is_due:
            self._workers.close()

    def _known_answer(self, order: PictureOrder) -> MadePictures | None:
        """Return what can be said at once."""
        if not order.names or not order.files:
            return MadePictures(reason=NoPicture.AWAY if order.names else NoPicture.OUTSIDE)
        now = self._clock()
        answer, until = self._refused.get(order.subject, (None, now))
        if answer is not None and now < until:
            return answer
        return MadePictures(reason=NoPicture.BUSY) if self._is_closed or now < self._paused_until else None

    def _add(self, order: PictureOrder, waiter: Future[MadePictures], *, is_urgent: bool) -> bool:
        """Put an order where it belongs; whether there is room for it."""
        key = order.names
        if is_urgent and key in self._later:
            self._urgent[key] = self._later.pop(key)
        waiting = self._running.get(key) or self._urgent.get(key) or self._later.get(key)
        if waiting is None:
            line = self._urgent if is_urgent else self._later
            if len(line) >= MOST_WAITING:
                return False
            waiting = line[key] = _Waiting(order)
        waiting.waiters.append(waiter)
        waiting.is_urgent |= is_urgent
        return True

    def _begin(self) -> None:
        """Hand orders to workers, as many as these are."""
        while (waiting := self._next()) is not None:
            with self._asking:
                future = self._ask(waiting)
            if future.done():
                self._finish(waiting, future)
            else:
                future.add_done_callback(partial(self._go_on, waiting))

    def _go_on(self, waiting: _Waiting, future: Future[Any]) -> None:
        self._finish(waiting, future)
        self._begin()

    def _next(self) -> _Waiting | None:
        """Return what a worker that is free is to make; None: there is none, or nothing to make."""
        with self._lock:
            while len(self._running) < self._workers.n_workers and (waiting := self._pop()) is not None:
                if waiting.is_wanted:
                    self._running[waiting.order.names] = waiting
                    return waiting
        return None

    def _pop(self) -> _Waiting | None:
        if self._urgent:
            return self._urgent.popitem(last=False)[1]
        if self._later and all(waiting.is_urgent for waiting in self._running.values()):
            return self._later.popitem(last=False)[1]
        return None

    def _ask(self, waiting: _Waiting) -> Future[Any]:
        order = waiting.order
        file, expected = order.files[waiting.n_tried]
        if order.boxes:
            return self._workers.cut_faces(file, order.boxes, expected, side=order.names[0].side)
        return self._workers.reduced(file, [name.side for name in order.names], expected)

    def _finish(self, waiting: _Waiting, future: Future[Any]) -> None:
        """Keep what was made, and tell those who wait; or try the next copy of the photo."""
        try:
            answer = self._answer_of(waiting, future)
        except Exception:  # whoever waits has to be answered, whatever happened
            log.exception("a picture could not be made")
            answer = MadePictures(reason=NoPicture.BROKEN)
        with self._lock:
            del self._running[waiting.order.names]
            if answer is None:
                self._urgent[waiting.order.names] = waiting
        if answer is not None:
            _answer([waiting], answer)

    def _answer_of(self, waiting: _Waiting, future: Future[Any]) -> MadePictures | None:
        """Return what is to be said; None: it is to be tried again, perhaps with the next file."""
        order = waiting.order
        file = display(os.fspath(order.files[waiting.n_tried][0]))
        try:
            jpegs = future.result()
        except OSError as error:
            log.debug("%s: no picture of it: %s", file, error)
            waiting.n_tried += 1
            if waiting.n_tried < len(order.files):
                return None
            return self._refuse(order, MadePictures(reason=NoPicture.AWAY), AWAY_SECONDS)
        except PhotoError as error:
            log.debug("%s: no picture of it: %s", file, error)
            self._n_lost = 0
            return self._refuse(order, MadePictures(reason=NoPicture.BROKEN, fault=error.fault))
        except (WorkerLost, EngineError) as error:
            log.debug("%s: no picture of it: %s", file, error)
            return self._lost(order, error)
        except (CancelledError, StoppedError):
            waiting.n_stopped += 1
            return MadePictures(reason=NoPicture.BUSY) if self._is_closed or waiting.n_stopped > MOST_STOPPED else None
        self._n_lost = 0
        return self._kept(order, jpegs)

    def _kept(self, order: PictureOrder, jpegs: Sequence[bytes | None]) -> MadePictures:
        made = {name: jpeg for name, jpeg in zip(order.names, jpegs, strict=True) if jpeg is not None}
        for name, jpeg in made.items():
            self._store.keep(name, jpeg, order.ticket)
        if self._store.ticket() != order.ticket:
            return MadePictures(reason=NoPicture.OUTDATED)
        return MadePictures(made)

    def _refuse(self, order: PictureOrder, answer: MadePictures, seconds: float = math.inf) -> MadePictures:
        with self._lock:
            self._refused.pop(order.subject, None)
            self._refused[order.subject] = answer, self._clock() + seconds
            if len(self._refused) > MOST_REMEMBERED:
                self._refused.popitem(last=False)
        return answer

    def _lost(self, order: PictureOrder, error: WorkerLost | EngineError) -> MadePictures:
        """Blame the photo, and the machine when it happens again and again."""
        with self._lock:
            self._n_lost += 1
            is_too_often = self._n_lost >= MOST_LOST
            if is_too_often:
                self._n_lost = 0
                self._paused_until = self._clock() + PAUSE_SECONDS
            self._is_broken |= isinstance(error, EngineError)
        if is_too_often:
            log.warning(
                "no pictures of photos are made for %.0f s: %d workers were lost: %s", PAUSE_SECONDS, MOST_LOST, error
            )
            self._give_up()
        if isinstance(error, EngineError) or error.is_from_outside:
            return MadePictures(reason=NoPicture.BUSY)
        return self._refuse(order, MadePictures(reason=NoPicture.BROKEN, fault=error.fault), LOST_SECONDS)

    def _give_up(self) -> None:
        with self._lock:
            given_up = [*self._urgent.values(), *self._later.values()]
            self._urgent.clear()
            self._later.clear()
        _answer(given_up, MadePictures(reason=NoPicture.BUSY))


def _answer(given: Iterable[_Waiting], answer: MadePictures) -> None:
    for waiting in given:
        for waiter in waiting.waiters:
            if waiter.set_running_or_notify_cancel():
                waiter.set_result(answer)
