"""From a file to the catalog: one photo, one transaction, whatever the file is."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from drawn import Library
from PIL import Image

from facewatch.engines import fake
from facewatch.ingest import Analysed, Examined, Eyes, Ingested, InlineAnalyser, Recipe, Workers
from facewatch.ingest.workers import _speak_through
from facewatch.types import DetectedFace, Fingerprint

RECIPE = Recipe("fake")


def kinds(outcomes: Iterable[Ingested]) -> dict[str, str]:
    return {one.path: one.kind for one in outcomes}


def ingest(library: Library, *paths: str, **arguments: object) -> dict[str, str]:
    with library.service(**arguments) as service:
        return kinds(service.ingest(library.photos, paths))


def test_a_new_photo_is_analysed_and_a_copy_of_it_is_not(library: Library) -> None:
    library.draw("a.png", (1, 0), (2, 0))
    (library.photos / "copy.png").write_bytes((library.photos / "a.png").read_bytes())
    assert ingest(library, "a.png") == {"a.png": "new"}
    assert ingest(library, "copy.png") == {"copy.png": "known"}
    with library.service() as service:
        assert service.catalog.files.counts() == {"files": 2, "photos": 1, "faulty": 0}
        assert service.catalog.faces.counts()["faces"] == 2


def test_a_file_that_is_no_photo_and_does_not_claim_to_be_one_is_passed_over_quietly(library: Library) -> None:
    (library.photos / "notes.txt").write_text("hello")
    assert ingest(library, "notes.txt") == {"notes.txt": "other"}
    with library.service() as service:
        assert service.status().faults == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.jpg", b""),
        ("zeros.jpg", bytes(1000)),
        ("page.jpg", b"<html><body>404</body></html>"),
        ("text.jpg", b"just some text"),
        ("cut.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
    ],
)
def test_a_bad_photo_is_recorded_with_what_to_do(library: Library, name: str, content: bytes) -> None:
    (library.photos / name).write_bytes(content)
    assert ingest(library, name) == {name: "faulty"}
    with library.service() as service:
        [fault] = service.status().faults
    assert fault["path"] == str(library.photos / name)
    assert fault["fault"]
    assert fault["advice"]


def test_a_file_that_vanishes_is_no_fault(library: Library) -> None:
    assert ingest(library, "gone.png") == {"gone.png": "vanished"}
    with library.service() as service:
        assert service.catalog.files.counts()["files"] == 0


def test_a_pipe_or_link_put_in_a_files_place_is_neither_read_nor_waited_for(library: Library, tmp_path: Path) -> None:
    os.mkfifo(library.photos / "pipe.jpg")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (library.photos / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    outcomes = ingest(library, "pipe.jpg", "link.jpg")
    assert outcomes == {"pipe.jpg": "vanished", "link.jpg": "faulty"}


def test_a_file_that_changes_while_it_is_looked_at_is_left_for_later(library: Library) -> None:
    path = library.draw("a.png", (1, 0))
    eyes = Eyes(RECIPE, fake.FakeEngine())
    examined = eyes.examine(str(path))
    os.utime(path, (1, 1))
    assert eyes.analyse(str(path), examined.fingerprint) is None


def test_boxes_are_in_pixels_of_the_full_size_photo(library: Library) -> None:
    # A picture larger than the engines see: stored 4 times as large, it is reduced again before detection.
    small = Image.fromarray(fake.draw([(1, 0)] * 6))
    path = library.photos / "large.png"
    small.resize((small.width * 4, small.height * 4), Image.Resampling.NEAREST).save(path)
    eyes = Eyes(RECIPE, _Coarse())
    result = eyes.analyse(str(path), eyes.examine(str(path)).fingerprint)
    assert result
    assert result.analysis
    assert result.analysis.width == small.width * 4
    [face] = result.analysis.faces
    assert (face.box.x, face.box.y) == (0, 0)
    assert (face.box.w, face.box.h) == (small.width * 2, small.height * 2)


def test_a_workers_warnings_reach_the_terminal_and_its_small_talk_does_not() -> None:
    reading, writing = os.pipe()
    logger = logging.getLogger("facewatch")
    handler = _speak_through(writing)
    try:
        logging.getLogger("facewatch.engines.arcface").warning("on the CPU from now on")
        logging.getLogger("facewatch.engines.arcface").info("a photo")
    finally:
        logger.removeHandler(handler)
        handler.stream.close()  # type: ignore[attr-defined]
    with open(reading) as terminal:  # noqa: PTH123
        assert terminal.read() == "WARNING: on the CPU from now on\n"


class _Coarse(fake.FakeEngine):
    """Says that the left upper quarter of whatever it is given is a face."""

    def analyse(self, pixels: object, **closer: object) -> list[DetectedFace]:
        height, width = pixels.shape[:2]  # type: ignore[attr-defined]
        face = fake._face(0, 0, 1, 0)
        return [DetectedFace((-4, -4, width / 2 + 4, height / 2 + 4), face.landmarks, 1.0, face.crop, face.embedding)]


class _LibraryError(Exception):
    """Like those of opencv and onnxruntime: of no kind that Python knows."""


@pytest.mark.parametrize("kind", [RuntimeError, ValueError, MemoryError, _LibraryError])
def test_a_photo_that_the_detector_chokes_on_costs_only_itself(library: Library, kind: type[Exception]) -> None:
    class Choking(fake.FakeEngine):
        def analyse(self, pixels: object, **closer: object) -> list[DetectedFace]:
            found = super().analyse(pixels)  # type: ignore[arg-type]
            if len(found) == 3:
                raise kind("out of\ncheese")
            return found

    library.draw("a.png", (1, 0))
    library.draw("b.png", (1, 0), (2, 0), (3, 0))
    outcomes = ingest(library, "a.png", "b.png", analyser=InlineAnalyser(RECIPE, Choking()))
    assert outcomes == {"a.png": "new", "b.png": "faulty"}
    with library.service() as service:
        assert service.status().faults[0]["fault"] == "the detector failed on it: out of cheese"


class Crashing(InlineAnalyser):
    """Behaves like a pool whose workers die on certain photos, taking along what is in flight."""

    n_workers = 3

    def __init__(self, is_deadly: Callable[[str], bool]) -> None:
        super().__init__(RECIPE, fake.FakeEngine())
        self._is_deadly = is_deadly
        self._is_broken = False
        self.n_restarts = 0

    def examine(self, path: str) -> Future[Examined]:
        self._is_broken |= self._is_deadly(path)
        return self._broken() if self._is_broken else super().examine(path)

    def analyse(self, path: str, expected: Fingerprint) -> Future[Analysed | None]:
        return self._broken() if self._is_broken else super().analyse(path, expected)

    def restart(self) -> None:
        self._is_broken = False
        self.n_restarts += 1

    @staticmethod
    def _broken() -> Future:  # type: ignore[type-arg]
        future: Future[object] = Future()
        future.set_exception(BrokenProcessPool("died"))
        return future


def test_the_photo_that_kills_workers_is_found_and_the_others_go_on(library: Library) -> None:
    names = [f"{i}.png" for i in range(8)]
    for i, name in enumerate(names):
        library.draw(name, (i, 0))
    analyser = Crashing(lambda path: path.endswith("5.png"))
    outcomes = ingest(library, *names, analyser=analyser)
    assert outcomes == {name: "faulty" if name == "5.png" else "new" for name in names}
    assert analyser.n_restarts == 2  # one retry
    with library.service() as service:
        assert service.status().faults[0]["fault"] == "crashes the decoder or the detector"


def test_real_worker_processes_do_what_one_process_does(library: Library) -> None:
    library.draw("blank.png")
    (library.photos / "bad.jpg").write_bytes(b"\xff\xd8\xff" + bytes(100))
    (library.photos / "notes.txt").write_text("hello")
    workers = Workers(Recipe("face_recognition"), 2)
    outcomes = ingest(library, "blank.png", "bad.jpg", "notes.txt", "gone.jpg", analyser=workers)
    assert outcomes == {"blank.png": "new", "bad.jpg": "faulty", "notes.txt": "other", "gone.jpg": "vanished"}
    assert not workers.is_running


def test_a_huge_photo_is_analysed_alone() -> None:
    from facewatch.ingest import PIXELS_IN_FLIGHT, Ingest, _Job

    def job(n_pixels: int) -> _Job:
        return _Job("x", 0.0, Examined(Fingerprint(1, 1, 1), b"x", n_pixels))

    small, huge = job(1_000_000), job(PIXELS_IN_FLIGHT + 1)
    assert Ingest._fits(huge, {})
    assert not Ingest._fits(huge, {Future(): (small,)})
    assert not Ingest._fits(small, {Future(): (huge,)})
    assert Ingest._fits(small, {Future(): (small,)})
