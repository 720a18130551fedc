"""From a file to the catalog: one photo, one transaction, whatever the file is."""

from __future__ import annotations

import errno
import itertools
import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from bench_catalog import Crowd
from drawn import Library
from PIL import Image

from facewatch.engines import fake
from facewatch.errors import Fault, FaultCode
from facewatch.indexing.analyzer import AnalysisResult, Analyzer, Examination, LibraryFile, Recipe
from facewatch.indexing.indexer import Indexed, Indexer, _Job
from facewatch.indexing.memory import PIXELS_IN_FLIGHT, Room
from facewatch.indexing.pool import InlineWorkers, WorkerPool
from facewatch.indexing.worker import WorkerLost, _speak_through
from facewatch.types import Analysis, DetectedFace, Fingerprint

RECIPE = Recipe("fake")


def kinds(outcomes: Iterable[Indexed]) -> dict[str, str]:
    return {one.path: one.kind for one in outcomes}


def file_at(path: Path) -> LibraryFile:
    return LibraryFile(str(path.parent), path.name)


def ingest(library: Library, *paths: str, **arguments: object) -> dict[str, str]:
    with library.app(**arguments) as app:
        return kinds(app.pipeline.index(library.photos, paths))


def test_a_new_photo_is_analysed_and_a_copy_of_it_is_not(library: Library) -> None:
    library.draw("a.png", (1, 0), (2, 0))
    (library.photos / "copy.png").write_bytes((library.photos / "a.png").read_bytes())
    assert ingest(library, "a.png") == {"a.png": "new"}
    assert ingest(library, "copy.png") == {"copy.png": "known"}
    with library.app() as app:
        assert app.catalog.files.counts() == {"files": 2, "photos": 1, "faulty": 0}
        assert app.catalog.faces.counts()["faces"] == 2


def test_a_file_that_is_no_photo_and_does_not_claim_to_be_one_is_passed_over_quietly(library: Library) -> None:
    (library.photos / "notes.txt").write_text("hello")
    assert ingest(library, "notes.txt") == {"notes.txt": "other"}
    with library.app() as app:
        assert app.status().faults == ()


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
    with library.app() as app:
        [fault] = app.status().faults
    assert fault.path == str(library.photos / name)
    assert fault.fault.text
    assert fault.fault.advice


def test_a_file_that_vanishes_is_no_fault(library: Library) -> None:
    assert ingest(library, "gone.png") == {"gone.png": "vanished"}
    with library.app() as app:
        assert app.catalog.files.counts()["files"] == 0


def test_a_pipe_or_link_put_in_a_files_or_folders_place_is_neither_read_nor_waited_for(
    library: Library, tmp_path: Path
) -> None:
    os.mkfifo(library.photos / "pipe.jpg")
    outside = tmp_path / "outside"
    outside.mkdir()
    library.draw("a.png", (1, 0)).rename(outside / "secret.png")
    (library.photos / "link.png").symlink_to(outside / "secret.png")
    (library.photos / "folder").symlink_to(outside)
    outcomes = ingest(library, "pipe.jpg", "link.png", "folder/secret.png")
    assert set(outcomes.values()) == {"vanished"}


def test_a_library_that_is_reached_by_a_link_is_read(library: Library, tmp_path: Path) -> None:
    path = library.draw("a.png", (1, 0))
    (tmp_path / "link").symlink_to(library.photos)
    assert Analyzer(RECIPE, fake.FakeEngine()).examine(LibraryFile(str(tmp_path / "link"), path.name)).sha256


def test_a_file_that_changes_while_it_is_looked_at_is_left_for_later(library: Library) -> None:
    path = library.draw("a.png", (1, 0))
    analyzer = Analyzer(RECIPE, fake.FakeEngine())
    examined = analyzer.examine(file_at(path))
    os.utime(path, (1, 1))
    assert analyzer.analyse(file_at(path), examined.fingerprint) is None


def test_boxes_are_in_pixels_of_the_full_size_photo(library: Library) -> None:
    # A picture larger than the engines see: stored 4 times as large, it is reduced again before detection.
    small = Image.fromarray(fake.draw([(1, 0)] * 6))
    path = library.photos / "large.png"
    small.resize((small.width * 4, small.height * 4), Image.Resampling.NEAREST).save(path)
    analyzer = Analyzer(RECIPE, _Coarse())
    result = analyzer.analyse(file_at(path), analyzer.examine(file_at(path)).fingerprint)
    assert result
    assert isinstance(result, Analysis)
    assert result.width == small.width * 4
    [face] = result.faces
    assert (face.box.x, face.box.y) == (0, 0)
    assert (face.box.w, face.box.h) == (small.width * 2, small.height * 2)


def test_a_workers_warnings_reach_the_terminal_and_its_small_talk_does_not() -> None:
    reading, writing = os.pipe()
    logger = logging.getLogger("facewatch")
    handler = _speak_through(writing, logging.Formatter("%(levelname)s: %(message)s"))
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


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (RuntimeError, "the detector failed on it: out of cheese"),
        (ValueError, "the detector failed on it: out of cheese"),
        (_LibraryError, "the detector failed on it: out of cheese"),
        (MemoryError, "not enough memory to look for faces in it"),
    ],
)
def test_a_photo_that_the_detector_chokes_on_costs_only_itself(
    library: Library, kind: type[Exception], fault: str
) -> None:
    class Choking(fake.FakeEngine):
        def analyse(self, pixels: object, **closer: object) -> list[DetectedFace]:
            found = super().analyse(pixels)  # type: ignore[arg-type]
            if len(found) == 3:
                raise kind("out of\ncheese")
            return found

    library.draw("a.png", (1, 0))
    library.draw("b.png", (1, 0), (2, 0), (3, 0))
    outcomes = ingest(library, "a.png", "b.png", workers=InlineWorkers(RECIPE, Choking()))
    assert outcomes == {"a.png": "new", "b.png": "faulty"}
    with library.app() as app:
        assert app.status().faults[0].fault.text == fault
        assert [one.fault.code.is_momentary for one in app.catalog.files.faulty()] == [kind is MemoryError]


TOO_SLOW = Fault(FaultCode.TAKES_LONG, "takes longer than 300 s", "exclude it", "300 s")


class Deadly(InlineWorkers):
    """Loses a worker over certain photos, each time or only at the first look; remembers what was looked at."""

    n_workers = 3

    def __init__(self, is_deadly: Callable[[str], bool], *, n_losses: int = 1000, fault: Fault = TOO_SLOW) -> None:
        super().__init__(RECIPE, fake.FakeEngine())
        self._is_deadly = is_deadly
        self._n_losses = n_losses
        self._fault = fault
        self.looks: list[tuple[str, str]] = []

    def examine(self, photo: LibraryFile) -> Future[Examination]:
        self.looks.append(("examine", photo.path))
        return super().examine(photo)

    def analyse(self, photo: LibraryFile, expected: Fingerprint) -> Future[AnalysisResult]:
        self.looks.append(("analyse", photo.path))
        if self._n_losses and self._is_deadly(photo.path):
            self._n_losses -= 1
            return lost(self._fault)
        return super().analyse(photo, expected)


def lost(fault: Fault = TOO_SLOW) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(WorkerLost(fault))
    return future


def draw_several(library: Library, n: int) -> list[str]:
    names = [f"{i}.png" for i in range(n)]
    for i, name in enumerate(names):
        library.draw(name, (i, 0))
    return names


def test_the_photo_that_costs_workers_is_put_aside_after_one_retry_and_the_others_go_on(library: Library) -> None:
    names = draw_several(library, 8)
    workers = Deadly(lambda path: path == "5.png")
    outcomes = ingest(library, *names, workers=workers)
    assert outcomes == {name: "faulty" if name == "5.png" else "new" for name in names}
    assert [look for look in workers.looks if look[1] == "5.png"] == 2 * [("examine", "5.png"), ("analyse", "5.png")]
    assert len(workers.looks) == 2 * (len(names) + 1)  # nobody else was looked at twice
    with library.app() as app:
        [fault] = app.status().faults
    assert (fault.fault.text, fault.fault.advice) == ("takes longer than 300 s", "exclude it")


def test_a_photo_that_cost_one_worker_is_looked_at_again_and_is_as_good_as_any(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    names = draw_several(library, 4)
    outcomes = ingest(library, *names, workers=Deadly(lambda path: path == "2.png", n_losses=1))
    assert set(outcomes.values()) == {"new"}
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == ["2.png: takes longer than 300 s; trying once more, alone"]


KILLED = Fault.of(FaultCode.KILLED, reason="SIGKILL")


def test_photos_whose_workers_were_killed_are_looked_at_again_after_all_others(library: Library) -> None:
    names = draw_several(library, 6)
    killed = {"1.png", "2.png"}
    outcomes = ingest(library, *names[:4], workers=Deadly(killed.__contains__, fault=KILLED))
    assert {name for name, kind in outcomes.items() if kind == "faulty"} == killed
    workers = Deadly(lambda path: False)
    outcomes = ingest(library, "1.png", "2.png", *names[4:], workers=workers)
    assert set(outcomes.values()) == {"new"}
    one_by_one = [("examine", "1.png"), ("analyse", "1.png"), ("examine", "2.png"), ("analyse", "2.png")]
    assert workers.looks[-4:] == one_by_one


def test_while_memory_is_short_each_run_costs_one_worker_and_each_photo_has_its_turn(library: Library) -> None:
    names = draw_several(library, 4)
    killed = names[:3]
    ingest(library, *killed, workers=Deadly(killed.__contains__, fault=KILLED))
    with library.app() as app, app.catalog.write():
        for name, since in zip(killed, ("2001-03", "2001-01", "2001-02"), strict=True):
            app.catalog._db.execute("UPDATE files SET seen_at = ? WHERE display = ?", [since, name])
    for waited_longest in ("1.png", "2.png", "0.png"):
        workers = Deadly(killed.__contains__, fault=KILLED)
        outcomes = ingest(library, *killed, workers=workers)
        assert outcomes == {waited_longest: "faulty"}
        assert workers.looks == [("examine", waited_longest), ("analyse", waited_longest)]


def test_a_photo_that_was_killed_and_is_too_slow_now_keeps_no_other_waiting(library: Library) -> None:
    names = draw_several(library, 2)
    ingest(library, *names, workers=Deadly(lambda path: True, fault=KILLED))
    outcomes = ingest(library, *names, workers=Deadly(lambda path: path == "0.png"))
    assert outcomes == {"0.png": "faulty", "1.png": "new"}


def test_a_suspect_is_looked_at_while_nothing_else_is(library: Library) -> None:
    class Slow(Deadly):
        """Answers only when it is asked for more, as workers do; remembers who was in flight with whom."""

        def __init__(self) -> None:
            super().__init__(lambda path: path == "3.png")
            self.companies: list[set[str]] = []
            self._flying: set[str] = set()

        def analyse(self, photo: LibraryFile, expected: Fingerprint) -> Future[AnalysisResult]:
            future, inner = Future[AnalysisResult](), super().analyse(photo, expected)
            self._flying.add(photo.path)
            self.companies.append(set(self._flying))

            def answer() -> None:
                self._flying.discard(photo.path)
                error = inner.exception()
                if error:
                    future.set_exception(error)
                else:
                    future.set_result(inner.result())

            threading.Timer(0.01, answer).start()
            return future

    workers = Slow()
    names = draw_several(library, 9)
    ingest(library, *names, workers=workers)
    assert workers.companies.count({"3.png"}) >= 1
    assert [company for company in workers.companies if "3.png" in company][-1] == {"3.png"}
    assert any(len(company) > 1 for company in workers.companies)


def test_one_of_a_batch_that_costs_a_worker_is_found(library: Library) -> None:
    class DeadlyBatches(Deadly):
        def analyse_aligned(self, photos: Sequence[tuple[LibraryFile, Fingerprint]]) -> Future[list[AnalysisResult]]:
            names = [photo.path for photo, _ in photos]
            self.looks.append(("batch", " ".join(names)))
            return lost() if "2.png" in names else super().analyse_aligned(photos)

    names = draw_several(library, 4)
    workers = DeadlyBatches(lambda path: False)
    with library.app({"library.aligned": [str(library.photos)]}, workers=workers) as app:
        app.libraries.resolve_aligned()
        outcomes = kinds(app.pipeline.index(library.photos, names))
    assert outcomes == {name: "faulty" if name == "2.png" else "new" for name in names}
    batches = [names for kind, names in workers.looks if kind == "batch"]
    assert batches == ["0.png 1.png 2.png 3.png", "0.png", "1.png", "2.png", "3.png"]


def test_real_worker_processes_do_what_one_process_does(library: Library) -> None:
    library.draw("blank.png")
    (library.photos / "bad.jpg").write_bytes(b"\xff\xd8\xff" + bytes(100))
    (library.photos / "notes.txt").write_text("hello")
    workers = WorkerPool(Recipe("face_recognition"), 2)
    outcomes = ingest(library, "blank.png", "bad.jpg", "notes.txt", "gone.jpg", workers=workers)
    assert outcomes == {"blank.png": "new", "bad.jpg": "faulty", "notes.txt": "other", "gone.jpg": "vanished"}
    assert not workers.is_running


class Roomy(InlineWorkers):
    """Has room for so many bytes."""

    def __init__(self, together: int, alone: int) -> None:
        super().__init__(RECIPE, fake.FakeEngine())
        self.room = Room(together, alone)
        self.n_closed = 0

    def close(self) -> None:
        self.n_closed += 1


def job(n_pixels: int, n_bytes: int = 0) -> _Job:
    return _Job("x", 0.0, Examination(Fingerprint(1, 1, 1), b"x", n_pixels, n_bytes))


def ingest_with(workers: InlineWorkers) -> Indexer:
    return Indexer(None, workers, root=Path("/"), root_id=1, engine_id=1, assign=lambda photo_id: 0)  # type: ignore[arg-type]


def test_a_huge_photo_is_analysed_alone() -> None:
    work = ingest_with(InlineWorkers(RECIPE))
    small, huge = job(1_000_000), job(PIXELS_IN_FLIGHT + 1)
    assert work._fits(huge, {})
    assert not work._fits(huge, {Future(): (small,)})
    assert not work._fits(small, {Future(): (huge,)})
    assert work._fits(small, {Future(): (small,)})


def test_photos_are_analysed_side_by_side_as_far_as_there_is_memory() -> None:
    work = ingest_with(Roomy(together=100, alone=150))
    assert work._fits(job(1, 60), {Future(): (job(1, 40),)})
    assert not work._fits(job(1, 61), {Future(): (job(1, 40),)})
    only_examined = _Job("y", 0.0)
    assert work._fits(job(1, 100), {Future(): (only_examined,)})
    assert not work._fits(job(1, 101), {Future(): (only_examined,)})
    assert work._fits(job(1, 101), {})


def test_a_photo_that_fits_beside_one_worker_only_ends_the_others_first(library: Library) -> None:
    names = draw_several(library, 2)
    needed = Analyzer(RECIPE, fake.FakeEngine()).examine(file_at(library.photos / names[0])).n_bytes
    workers = Roomy(together=needed // 2, alone=needed * 2)
    with library.app(workers=workers) as app:
        assert set(kinds(app.pipeline.index(library.photos, names)).values()) == {"new"}
        assert workers.n_closed == 2


def test_a_photo_that_needs_more_memory_than_there_is_says_how_much_and_what_to_raise(library: Library) -> None:
    Image.new("RGB", (1000, 1000)).save(library.photos / "a.png")
    assert ingest(library, "a.png", workers=Roomy(5_000_000, 9_000_000)) == {"a.png": "faulty"}
    with library.app() as app:
        [fault] = app.status().faults
    assert fault.fault.text == "needs about 10 MB of memory to be decoded, and there are 9 MB for it"
    assert "resources.memory_mb" in fault.fault.advice
    assert "library.max_megapixels" in fault.fault.advice


# --- files that cannot be read ---


class BadSectors(InlineWorkers):
    """Cannot read certain files: the disk fails."""

    def __init__(self, path: str, *, reads: str) -> None:
        """`reads`: at which look."""
        super().__init__(RECIPE, fake.FakeEngine())
        self._path = path
        self._reads = reads

    def examine(self, photo: LibraryFile) -> Future[Examination]:
        return self._answer(photo, "examine", super().examine)

    def analyse(self, photo: LibraryFile, expected: Fingerprint) -> Future[AnalysisResult]:
        return self._answer(photo, "analyse", lambda photo: super(BadSectors, self).analyse(photo, expected))

    def _answer(self, photo: LibraryFile, look: str, ask: Callable[[LibraryFile], Future[Any]]) -> Future[Any]:
        if (photo.path, look) != (self._path, self._reads):
            return ask(photo)
        future: Future[Any] = Future()
        future.set_exception(OSError(errno.EIO, os.strerror(errno.EIO)))
        return future


@pytest.mark.parametrize("reads", ["examine", "analyse"])
@pytest.mark.parametrize("tells_its_size", [True, False])
def test_a_bad_sector_is_the_fault_of_the_file_that_is_on_it_and_of_no_other(
    library: Library, monkeypatch: pytest.MonkeyPatch, reads: str, tells_its_size: bool
) -> None:
    names = draw_several(library, 3)
    lstat = os.lstat

    def fails(path: Any, **where: Any) -> os.stat_result:
        if os.fspath(path) == str(library.photos / "1.png"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return lstat(path, **where)

    with monkeypatch.context() as patch:
        if not tells_its_size:
            patch.setattr(os, "lstat", fails)
        outcomes = ingest(library, *names, workers=BadSectors("1.png", reads=reads))
    assert outcomes == {"0.png": "new", "1.png": "faulty", "2.png": "new"}
    with library.app() as app:
        [fault] = app.status().faults
    assert fault.fault.text == f"cannot be read: {os.strerror(errno.EIO)}"
    assert fault.fault.advice == "make it readable, then scan again"
    assert library.scan().files.n_new == 1  # it can be read by now


@pytest.mark.parametrize("reads", ["examine", "analyse"])
def test_a_file_that_cannot_be_reached_as_its_drive_is_gone_is_no_faulty_one(
    library: Library, monkeypatch: pytest.MonkeyPatch, reads: str
) -> None:
    library.draw("1.png", (1, 0))
    lstat = os.lstat

    def fails(path: Any, **where: Any) -> os.stat_result:
        if os.fspath(path) == str(library.photos / "1.png"):
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return lstat(path, **where)

    monkeypatch.setattr(os, "lstat", fails)
    assert ingest(library, "1.png", workers=BadSectors("1.png", reads=reads)) == {"1.png": "vanished"}


# --- stopping ---


class Endless(InlineWorkers):
    """Never answers about one photo."""

    n_workers = 2

    def __init__(self, path: str) -> None:
        super().__init__(RECIPE, fake.FakeEngine())
        self._path = path
        self.unanswered: list[Future[AnalysisResult]] = []

    def analyse(self, photo: LibraryFile, expected: Fingerprint) -> Future[AnalysisResult]:
        if photo.path != self._path:
            return super().analyse(photo, expected)
        self.unanswered.append(Future())
        return self.unanswered[-1]


def run_in(
    library: Library, names: Sequence[str], workers: InlineWorkers, should_stop: Callable[[], bool]
) -> list[Indexed]:
    with library.app() as app:
        root_id = app.libraries.root_id(library.photos)
        work = Indexer(
            *(app.catalog, workers),
            root=library.photos,
            root_id=root_id,
            engine_id=app.engine.id,
            assign=lambda photo_id: 0,
        )
        return list(work.run(names, should_stop=should_stop))


def test_a_run_that_is_to_stop_does_not_wait_for_the_photo_that_it_is_at(library: Library) -> None:
    names = draw_several(library, 3)
    workers = Endless("1.png")
    n_asked = itertools.count()
    outcomes = run_in(library, names, workers, lambda: bool(workers.unanswered) and next(n_asked) > 4)
    assert kinds(outcomes) == {"0.png": "new", "2.png": "new"}
    assert [future.cancelled() for future in workers.unanswered] == [True]
    assert ingest(library, *names) == {"0.png": "known", "1.png": "new", "2.png": "known"}


def test_a_run_that_is_to_stop_before_it_begins_looks_at_nothing(library: Library) -> None:
    workers = Deadly(lambda path: False)
    assert run_in(library, draw_several(library, 3), workers, lambda: True) == []
    assert workers.looks == []


def test_a_run_that_is_closed_lets_go_of_what_was_not_begun(library: Library) -> None:
    names = draw_several(library, 3)
    workers = Endless("1.png")
    with library.app(workers=workers) as app:
        run = app.pipeline.index(library.photos, names)
        while not workers.unanswered:
            assert next(run).kind == "new"
        run.close()  # type: ignore[attr-defined]
    assert [future.cancelled() for future in workers.unanswered] == [True]


# --- what a new photo costs ---


def steps_for_a_photo(folder: Path, *, n_faces: int) -> int:
    """Return how many tens of steps SQLite takes to record a photo and its face among so many known ones."""
    crowd, steps = Crowd(folder, n_faces=n_faces, n_people=2), 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    crowd.load_gallery()
    crowd.seconds_for(1)
    crowd.catalog._db.conn.set_progress_handler(count, 10)
    crowd.seconds_for(2)
    crowd.close()
    return steps


def test_what_a_new_photo_costs_does_not_grow_with_the_library(tmp_path: Path) -> None:
    among_few, among_many = (steps_for_a_photo(tmp_path / str(n), n_faces=n) for n in (100, 3_000))
    assert among_few > 10
    assert among_many < 1.5 * among_few
