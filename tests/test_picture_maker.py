"""Has pictures made: in which order, for whom, and what becomes of photos of which none can be made."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from facewatch.catalog.pictures import PicturedFace, PicturedPhoto, PictureFile
from facewatch.errors import EngineError, Fault, FaultCode, PhotoError
from facewatch.indexing import picture_maker
from facewatch.indexing.analyzer import LibraryFile
from facewatch.indexing.picture_maker import (
    AWAY_SECONDS,
    LARGE_SIDE,
    LOST_SECONDS,
    MOST_LOST,
    MOST_WAITING,
    PAUSE_SECONDS,
    THUMB_SIDE,
    MadePictures,
    NoPicture,
    PictureMaker,
    PictureOrder,
    order_faces,
    order_photo,
)
from facewatch.indexing.pictures import PictureStore
from facewatch.indexing.worker import StoppedError, WorkerLost
from facewatch.types import Box, Fingerprint

BROKEN = PhotoError(Fault.of(FaultCode.TRUNCATED, "JPEG"))
CRASHED = WorkerLost(Fault.of(FaultCode.CRASHES, reason="segmentation fault"))
KILLED = WorkerLost(Fault.of(FaultCode.KILLED, reason="SIGKILL"), is_from_outside=True)


class Bench:
    """Workers whose work a test finishes by hand, in whatever order."""

    def __init__(self, n_workers: int = 1) -> None:
        self.n_workers = n_workers
        self.asked: list[str] = []
        """Names of files, or of their copies."""
        self.futures: list[Future[list[bytes | None]]] = []
        self.sides: list[tuple[int, ...]] = []
        self.n_closed = 0

    def cut_faces(
        self, photo: LibraryFile, boxes: Sequence[Box], expected: Fingerprint | None, *, side: int
    ) -> Future[list[bytes | None]]:
        return self._add(photo, (side,) * len(boxes))

    def reduced(self, photo: LibraryFile, sides: Sequence[int], expected: Fingerprint | None) -> Future[list[bytes]]:
        return self._add(photo, tuple(sides))  # type: ignore[return-value]

    def _add(self, photo: LibraryFile, sides: tuple[int, ...]) -> Future[list[bytes | None]]:
        self.asked.append(photo.path)
        self.sides.append(sides)
        future: Future[list[bytes | None]] = Future()
        future.set_running_or_notify_cancel()
        self.futures.append(future)
        return future

    def finish(self, number: int = -1, outcome: Exception | None = None) -> None:
        future = self.futures[number]
        if outcome is not None:
            future.set_exception(outcome)
        else:
            future.set_result([b"jpeg of " + self.asked[number].encode() for _ in self.sides[number]])

    def close(self) -> None:
        self.n_closed += 1


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PictureStore]:
    store = PictureStore(tmp_path / "catalog.sqlite")
    yield store
    store.close()


@pytest.fixture
def bench() -> Bench:
    return Bench()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def maker(store: PictureStore, bench: Bench, clock: Clock) -> PictureMaker:
    return PictureMaker(store, bench, clock=clock)


@pytest.fixture
def order(store: PictureStore) -> Callable[..., PictureOrder]:
    """Make an order for the faces of a photo, known by its number; with copies in further files."""

    def make(number: int, *copies: str, n_faces: int = 1, size: int = 1) -> PictureOrder:
        names = copies or (f"{number}.jpg",)
        files = tuple(PictureFile("/library", name, Fingerprint(size, 2, 3)) for name in names)
        faces = tuple(PicturedFace(100 * number + i, Box(i, 0, 9, 9)) for i in range(n_faces))
        return order_faces(PicturedPhoto(number, bytes([number % 256]) * 32, files, faces), store.ticket())

    return make


Ordering = Callable[..., PictureOrder]


def reason_of(future: Future[MadePictures]) -> NoPicture:
    assert future.done()
    assert not future.result().jpegs
    return future.result().reason


def test_all_faces_of_a_photo_are_made_at_once_and_kept(
    maker: PictureMaker, bench: Bench, order: Ordering, store: PictureStore
) -> None:
    wanted = order(1, n_faces=3)
    future = maker.want(wanted)
    bench.finish()
    assert future.result().jpegs == dict.fromkeys(wanted.names, b"jpeg of 1.jpg")
    assert [store.read(name) for name in wanted.names] == [b"jpeg of 1.jpg"] * 3
    assert bench.asked == ["1.jpg"]
    assert maker.is_idle


def test_a_large_photo_comes_with_the_small_one(maker: PictureMaker, bench: Bench, store: PictureStore) -> None:
    photo = PicturedPhoto(4, b"d" * 32, (PictureFile("/library", "4.jpg", Fingerprint(1, 2, 3)),), ())
    large, small = (order_photo(photo, store.ticket(), side=side) for side in (LARGE_SIDE, THUMB_SIDE))
    maker.want(large)
    bench.finish()
    assert bench.sides == [(LARGE_SIDE, THUMB_SIDE)]
    assert [name.side for name in small.names] == [THUMB_SIDE]
    assert store.read(small.names[0]) is not None


def test_who_wants_the_same_waits_for_one_making_of_it(maker: PictureMaker, bench: Bench, order: Ordering) -> None:
    maker.want(order(9))
    futures = [maker.want(order(number)) for number in (1, 2, 1)]
    running = maker.want(order(9))
    for number in range(3):
        bench.finish(number)
    assert all(future.result().jpegs for future in (*futures, running))
    assert bench.asked == ["9.jpg", "1.jpg", "2.jpg"]


def test_what_was_asked_for_first_comes_first(maker: PictureMaker, bench: Bench, order: Ordering) -> None:
    for number in (9, 1, 2, 3, 1):
        maker.want(order(number))
    for number in range(4):
        bench.finish(number)
    assert bench.asked == ["9.jpg", "1.jpg", "2.jpg", "3.jpg"]


def test_what_nobody_waits_for_any_more_is_not_begun(maker: PictureMaker, bench: Bench, order: Ordering) -> None:
    maker.want(order(9))
    gone = [maker.want(order(number)) for number in (1, 2, 2)]
    gone[0].cancel()
    gone[1].cancel()
    bench.finish(0)
    bench.finish(1)
    assert bench.asked == ["9.jpg", "2.jpg"]
    assert maker.is_idle
    assert gone[2].result().jpegs


def test_what_is_not_urgent_waits_and_leaves_a_worker_free(store: PictureStore, order: Ordering) -> None:
    bench = Bench(n_workers=2)
    maker = PictureMaker(store, bench)
    for number in (1, 2, 3):
        maker.want(order(number), is_urgent=False)
    assert bench.asked == ["1.jpg"]
    maker.want(order(8))
    maker.want(order(3))
    bench.finish(1)
    bench.finish(2)
    assert bench.asked == ["1.jpg", "8.jpg", "3.jpg"], "somebody wants to see the third"
    bench.finish(0)
    assert bench.asked[3:] == ["2.jpg"]


def test_as_many_are_made_at_once_as_there_are_workers(store: PictureStore, order: Ordering) -> None:
    bench = Bench(n_workers=3)
    maker = PictureMaker(store, bench)
    for number in range(5):
        maker.want(order(number))
    assert len(bench.asked) == 3


def test_more_than_can_ever_be_seen_is_refused(maker: PictureMaker, order: Ordering) -> None:
    futures = [maker.want(order(number)) for number in range(MOST_WAITING + 2)]
    assert reason_of(futures[-1]) is NoPicture.BUSY
    assert not futures[-2].done()


def test_a_copy_of_the_photo_is_as_good(maker: PictureMaker, bench: Bench, order: Ordering) -> None:
    future = maker.want(order(1, "away.jpg", "copy.jpg"))
    bench.finish(outcome=FileNotFoundError("away.jpg"))
    bench.finish()
    assert list(future.result().jpegs.values()) == [b"jpeg of copy.jpg"]


def test_a_photo_that_is_away_is_looked_for_again_after_a_while(
    maker: PictureMaker, bench: Bench, order: Ordering, clock: Clock
) -> None:
    future = maker.want(order(1, "a.jpg", "b.jpg"))
    for _ in range(2):
        bench.finish(outcome=FileNotFoundError("gone"))
    assert reason_of(future) is reason_of(maker.want(order(1, "a.jpg", "b.jpg"))) is NoPicture.AWAY
    assert bench.asked == ["a.jpg", "b.jpg"]
    clock.now = AWAY_SECONDS
    again = maker.want(order(1, "a.jpg", "b.jpg"))
    bench.finish()
    assert again.result().jpegs


def test_a_photo_that_is_in_the_library_no_more_is_away_at_once(
    maker: PictureMaker, bench: Bench, order: Ordering
) -> None:
    assert reason_of(maker.want(replace(order(1), files=()))) is NoPicture.AWAY
    assert reason_of(maker.want(order(1, n_faces=0))) is NoPicture.OUTSIDE
    assert not bench.asked


def test_a_broken_photo_is_not_opened_again_until_it_is_another(
    maker: PictureMaker, bench: Bench, order: Ordering, clock: Clock
) -> None:
    future = maker.want(order(1))
    bench.finish(outcome=BROKEN)
    assert reason_of(future) is NoPicture.BROKEN
    assert future.result().fault == BROKEN.fault
    clock.now = 1e6
    assert reason_of(maker.want(order(1))) is NoPicture.BROKEN
    assert bench.asked == ["1.jpg"]
    maker.want(order(1, size=2))
    assert bench.asked == ["1.jpg", "1.jpg"]


def test_a_lost_worker_costs_one_photo(maker: PictureMaker, bench: Bench, order: Ordering, clock: Clock) -> None:
    futures = [maker.want(order(number)) for number in (1, 2)]
    bench.finish(outcome=CRASHED)
    bench.finish()
    assert reason_of(futures[0]) is NoPicture.BROKEN
    assert futures[1].result().jpegs
    assert reason_of(maker.want(order(1))) is NoPicture.BROKEN
    clock.now = LOST_SECONDS
    maker.want(order(1))
    assert bench.asked == ["1.jpg", "2.jpg", "1.jpg"]


@pytest.mark.parametrize("fault", [CRASHED, KILLED, EngineError("no worker process can be made")])
def test_after_some_lost_workers_in_a_row_no_photo_is_opened_for_a_while(
    maker: PictureMaker,
    bench: Bench,
    order: Ordering,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    fault: Exception,
) -> None:
    for number in range(MOST_LOST - 1):
        maker.want(order(number))
        bench.finish(outcome=fault)
    maker.want(order(50))
    bench.finish()
    waiting = [maker.want(order(60 + number)) for number in range(MOST_LOST + 2)]
    for _ in range(MOST_LOST):
        bench.finish(outcome=fault)
    assert [reason_of(future) for future in waiting[-2:]] == [NoPicture.BUSY] * 2
    n_asked = len(bench.asked)
    assert reason_of(maker.want(order(70))) is NoPicture.BUSY
    assert len(bench.asked) == n_asked
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
    clock.now = PAUSE_SECONDS
    again = maker.want(order(70))
    bench.finish()
    assert again.result().jpegs
    assert (bench.n_closed > 0) == isinstance(fault, EngineError), "workers that cannot start are tried anew"


def test_what_was_forgotten_meanwhile_is_neither_kept_nor_handed_out(
    maker: PictureMaker, bench: Bench, order: Ordering, store: PictureStore
) -> None:
    wanted = order(1)
    future = maker.want(wanted)
    store.forget(faces=[wanted.names[0].id])
    bench.finish()
    assert reason_of(future) is NoPicture.OUTDATED
    assert store.read(wanted.names[0]) is None


def test_a_face_outside_its_photo_is_said_to_be(maker: PictureMaker, bench: Bench, order: Ordering) -> None:
    future = maker.want(order(1))
    bench.futures[0].set_result([None])
    assert reason_of(future) is NoPicture.OUTSIDE


def test_whoever_waits_is_answered_whatever_happens(maker: PictureMaker, bench: Bench, order: Ordering) -> None:
    future = maker.want(order(1))
    bench.futures[0].set_result([])  # not one a name
    assert reason_of(future) is NoPicture.BROKEN
    future = maker.want(order(2))
    bench.finish(outcome=ValueError("nobody foresaw it"))
    assert reason_of(future) is NoPicture.BROKEN


def test_closing_answers_everybody(maker: PictureMaker, bench: Bench, order: Ordering) -> None:
    running, waiting = maker.want(order(1)), maker.want(order(2))
    maker.close()
    bench.finish(outcome=StoppedError())
    assert reason_of(running) is reason_of(waiting) is NoPicture.BUSY
    assert bench.n_closed == 1


def test_workers_are_let_go_only_when_there_is_nothing_to_do(
    maker: PictureMaker, bench: Bench, order: Ordering
) -> None:
    maker.want(order(1))
    maker.rest()
    assert bench.n_closed == 0
    bench.finish()
    maker.rest()
    assert bench.n_closed == 1


def test_only_so_many_broken_photos_are_remembered(
    maker: PictureMaker, bench: Bench, order: Ordering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_maker, "MOST_REMEMBERED", 2)
    for number in (1, 2, 3):
        maker.want(order(number))
        bench.finish(outcome=BROKEN)
    maker.want(order(3))
    maker.want(order(1))
    assert bench.asked == ["1.jpg", "2.jpg", "3.jpg", "1.jpg"]
