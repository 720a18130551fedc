"""What is heard settles before it is acted on, and a file is there only under its own name."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewatch.fs.beneath import FRESH_SECONDS, is_folder_below, stat_below
from facewatch.types import Fingerprint
from facewatch.watcher.debounce import SPARE_ENTRIES, Debouncer

SETTLE, REMOVAL = 2.0, 5.0

UNTOLD = -1
"""The size of a file of which the disk does not tell whether it is there."""


@dataclass
class Files:
    """Files that a settle queue can look at; counts how often it does."""

    sizes: dict[str, int] = field(default_factory=dict)
    n_looks: Counter[str] = field(default_factory=Counter)

    def look(self, path: str) -> Fingerprint | None:
        self.n_looks[path] += 1
        if self.sizes.get(path) == UNTOLD:
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return Fingerprint(self.sizes[path], 0, 0) if path in self.sizes else None


def queue(files: Files) -> Debouncer:
    return Debouncer(files.look, settle_seconds=SETTLE, removal_seconds=REMOVAL)


def heard_at_once(n_files: int) -> tuple[Files, Debouncer]:
    files = Files({str(i): 1 for i in range(n_files)})
    waiting = queue(files)
    for path in files.sizes:
        waiting.add(path, 0.0)
    return files, waiting


def test_a_file_is_ready_when_it_has_been_still_for_long_enough() -> None:
    waiting = queue(Files({"a": 1}))
    waiting.add("a", 0.0)
    assert not waiting.ready(1.9, 10)
    assert list(waiting.ready(2.0, 10).present) == ["a"]
    assert not waiting.ready(9.0, 10)


def test_a_file_that_grows_unheard_is_not_ready_before_it_is_done() -> None:
    files = Files({"a": 1})
    waiting = queue(files)
    waiting.add("a", 0.0)
    for second in range(1, 60):
        files.sizes["a"] += 1
        assert not waiting.ready(second, 10)
    assert not waiting.ready(60.9, 10)
    assert waiting.ready(63.0, 10).present == {"a": Fingerprint(60, 0, 0)}


def test_a_file_that_is_heard_to_be_complete_is_ready_right_after_the_time_from_then() -> None:
    files = Files({"a": 1})
    waiting = queue(files)
    waiting.add("a", 0.0)
    files.sizes["a"] = 9
    waiting.add("a", 1.5)
    assert not waiting.ready(3.4, 10)
    assert waiting.ready(3.5, 10).present == {"a": Fingerprint(9, 0, 0)}


def test_hearing_of_a_file_that_did_not_change_starts_nothing_anew() -> None:
    waiting = queue(Files({"a": 1}))
    for tenth in range(20):
        waiting.add("a", tenth / 10)
    assert list(waiting.ready(2.0, 10).present) == ["a"]


def test_a_file_that_was_still_before_it_was_heard_of_is_ready_at_once() -> None:
    waiting = queue(Files({"a": 1}))
    waiting.add("a", 10.0 - SETTLE)
    assert list(waiting.ready(10.0, 10).present) == ["a"]


def test_a_removal_waits_longer_than_an_addition() -> None:
    waiting = queue(Files())
    waiting.add("gone", 0.0)
    assert not waiting.ready(4.9, 10)
    assert waiting.ready(5.0, 10).gone == ("gone",)


def test_a_file_that_is_replaced_is_never_gone() -> None:
    files = Files({"a": 1})
    waiting = queue(files)
    waiting.add("a", 0.0)
    del files.sizes["a"]
    assert not waiting.ready(1.0, 10)
    files.sizes["a"] = 2
    assert not waiting.ready(3.0, 10)
    assert waiting.ready(5.0, 10).present == {"a": Fingerprint(2, 0, 0)}


def test_a_file_that_comes_back_waits_as_a_file_and_not_as_a_removal() -> None:
    files = Files()
    waiting = queue(files)
    waiting.add("a", 0.0)
    files.sizes["a"] = 1
    waiting.add("a", 0.5)
    assert list(waiting.ready(2.5, 10).present) == ["a"]


def test_many_files_are_given_out_in_portions() -> None:
    _, waiting = heard_at_once(10)
    assert len(waiting.ready(2.0, 4).present) == 4
    assert waiting.has_more
    assert len(waiting.ready(2.0, 40).present) == 6
    assert not waiting.has_more


def test_an_exact_portion_leaves_nothing_more() -> None:
    _, waiting = heard_at_once(10)
    assert len(waiting.ready(2.0, 10).present) == 10
    assert not waiting.has_more


def test_each_of_many_files_is_looked_at_twice_however_small_the_portions() -> None:
    files, waiting = heard_at_once(5_000)
    out: list[str] = []
    while len(waiting):
        out += waiting.ready(2.0, 64).present
    assert out == list(files.sizes)
    assert set(files.n_looks.values()) == {2}


def test_a_file_that_never_rests_holds_up_no_other_and_is_looked_at_only_when_its_time_comes() -> None:
    files = Files({"log": 1, "a": 1})
    waiting = queue(files)
    waiting.add("log", 0.0)
    waiting.add("a", 1.0)
    out: list[str] = []
    for tenth in range(1_000):
        files.sizes["log"] += 1
        out += waiting.ready(tenth / 10, 1).present
    assert out == ["a"]
    assert len(waiting) == 1
    assert files.n_looks["log"] <= 100 / SETTLE + 1


def test_a_file_that_is_heard_of_all_the_time_leaves_no_trail() -> None:
    files = Files({"log": 1})
    waiting = queue(files)
    for tenth in range(10_000):
        files.sizes["log"] += 1
        waiting.add("log", tenth / 10)
        assert not waiting.ready(tenth / 10, 1)
    assert len(waiting) == 1
    assert len(waiting._agenda) <= 10 * REMOVAL


def test_a_file_that_is_heard_of_all_the_time_leaves_no_trail_while_nobody_asks_what_has_settled() -> None:
    files = Files({"log": 1, "a": 1})
    waiting = queue(files)
    waiting.add("a", 0.0)
    for second in range(10_000):
        files.sizes["log"] += 1
        waiting.add("log", second)
        assert len(waiting._agenda) <= 2 * len(waiting) + SPARE_ENTRIES
    settled = waiting.ready(10_000 + SETTLE, 10)
    assert list(settled.present) == ["a", "log"]


def test_a_file_of_which_the_disk_does_not_tell_is_neither_there_nor_gone_until_it_does() -> None:
    files = Files({"a": UNTOLD})
    waiting = queue(files)
    waiting.add("a", 0.0)
    for second in range(60):
        assert not waiting.ready(second, 10)
    assert len(waiting) == 1
    assert files.n_looks["a"] <= 60 / SETTLE + 1
    files.sizes["a"] = 1
    assert not waiting.ready(60.0, 10)
    assert not waiting.ready(61.9, 10)
    assert waiting.ready(62.0, 10).present == {"a": Fingerprint(1, 0, 0)}


def test_a_file_that_was_gone_before_the_disk_failed_has_to_be_gone_for_the_whole_time_after_it() -> None:
    files = Files()
    waiting = queue(files)
    waiting.add("a", 0.0)
    files.sizes["a"] = UNTOLD
    waiting.add("a", 4.0)
    assert not waiting.ready(5.0, 10)
    del files.sizes["a"]
    assert not waiting.ready(6.0, 10)
    assert not waiting.ready(10.9, 10)
    assert waiting.ready(11.0, 10).gone == ("a",)


def test_hearing_of_a_file_of_which_the_disk_does_not_tell_puts_the_next_look_off_no_further() -> None:
    files = Files({"a": UNTOLD})
    waiting = queue(files)
    for tenth in range(20):
        waiting.add("a", tenth / 10)
    files.sizes["a"] = 1
    assert not waiting.ready(SETTLE, 10)
    assert list(waiting.ready(2 * SETTLE, 10).present) == ["a"]


def test_files_of_which_the_disk_does_not_tell_hold_up_no_other() -> None:
    files = Files({str(i): UNTOLD for i in range(100)} | {"a": 1})
    waiting = queue(files)
    for path in files.sizes:
        waiting.add(path, 0.0)
    assert list(waiting.ready(2.0, 1).present) == ["a"]
    assert len(waiting) == 100


def test_a_clock_that_jumps_back_loses_nothing() -> None:
    waiting = queue(Files({"a": 1, "b": 1}))
    waiting.add("a", 100.0)
    assert not waiting.ready(50.0, 10)
    waiting.add("b", 50.0)
    assert list(waiting.ready(52.0, 10).present) == ["b"]
    assert list(waiting.ready(102.0, 10).present) == ["a"]


PATHS = "abc"
EVENTS = st.lists(
    st.tuples(st.sampled_from(PATHS), st.integers(UNTOLD, 2), st.floats(0, 3), st.booleans()),
    max_size=40,
)


@given(EVENTS)
def test_whatever_happens_a_file_comes_out_once_as_it_is_and_only_when_still(
    events: list[tuple[str, int, float, bool]],
) -> None:
    files, now = Files(), 0.0
    waiting = queue(files)
    changed_at: dict[str, float] = {}
    due: set[str] = set()
    for path, size, pause, is_heard in events:
        now += pause
        if files.sizes.get(path, 0) != size:
            changed_at[path] = now
        files.sizes = {k: v for k, v in (files.sizes | {path: size}).items() if v}
        if is_heard:
            waiting.add(path, now)
            due.add(path)
        settled = waiting.ready(now, 10)
        for name, fingerprint in settled.present.items():
            assert files.sizes.get(name, UNTOLD) != UNTOLD
            assert fingerprint == Fingerprint(files.sizes[name], 0, 0)
        for name in settled.gone:
            assert name not in files.sizes
        for name in (*settled.present, *settled.gone):
            due.remove(name)  # which fails for one that comes out twice
        assert len(waiting) == len(due)
        assert len(waiting._agenda) <= 2 * len(waiting) + SPARE_ENTRIES
    # In the end everything that was heard of comes out, when the disk tells.
    files.sizes = {path: abs(size) for path, size in files.sizes.items()}
    settled = waiting.ready(now + REMOVAL, 10)
    late = waiting.ready(now + 2 * REMOVAL, 10)
    assert {*settled.present, *settled.gone, *late.present, *late.gone} == due
    assert len(waiting) == 0


@given(EVENTS)
def test_nothing_comes_out_before_its_time_when_every_change_is_heard(
    events: list[tuple[str, int, float, bool]],
) -> None:
    files, now = Files(), 0.0
    waiting = queue(files)
    changed_at: dict[str, float] = {}
    for path, size, pause, _ in events:
        now += pause
        if files.sizes.get(path, 0) != size:
            changed_at[path] = now
        files.sizes = {k: v for k, v in (files.sizes | {path: size}).items() if v}
        waiting.add(path, now)
        settled = waiting.ready(now, 10)
        for names, wait in ((settled.present, SETTLE), (settled.gone, REMOVAL)):
            assert all(now - changed_at.get(name, 0.0) >= wait - 1e-9 for name in names)
    untold = {path for path, size in files.sizes.items() if size == UNTOLD}
    settled = waiting.ready(now + REMOVAL, 10)
    assert set(settled.present) <= set(files.sizes) - untold
    assert len(waiting) == len(untold)


@given(st.permutations(range(12)), st.integers(1, 12))
def test_the_order_of_hearing_and_the_size_of_portions_do_not_matter(order: list[int], most: int) -> None:
    files = Files({str(i): i for i in range(0, 12, 2)})
    waiting = queue(files)
    for i in order:
        waiting.add(str(i), 0.0)
    present, gone = {}, []
    for second in range(40):
        settled = waiting.ready(float(second), most)
        present |= settled.present
        gone += settled.gone
    assert {path: one.size for path, one in present.items()} == files.sizes
    assert sorted(gone, key=int) == [str(i) for i in range(1, 12, 2)]


def test_only_a_regular_file_has_a_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.jpg").write_text("x")
    (tmp_path / "link.jpg").symlink_to("sub/a.jpg")
    look = stat_below(tmp_path)
    assert look("sub/a.jpg") == Fingerprint.of((tmp_path / "sub/a.jpg").stat())
    assert [look(path) for path in ("sub", "link.jpg", "sub/b.jpg", "sub/a.jpg/b")] == [None] * 4


def test_what_cannot_have_that_name_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "a.jpg").write_text("x")
    for path in ("nowhere/a.jpg", "a.jpg/b.jpg", "loop/a.jpg", "x" * 300):
        assert stat_below(tmp_path)(path) is None
        assert not is_folder_below(tmp_path, path)


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE, errno.ENOTCONN])
def test_a_disk_that_does_not_tell_is_not_taken_to_say_that_a_file_or_folder_is_gone(number: int) -> None:
    class Failing(FoldingDisk):
        def lstat(self, path: str) -> os.stat_result:
            raise OSError(number, os.strerror(number), path)

    disk = Failing(["trip", "trip/a.jpg"])
    with pytest.raises(OSError, match="/photos/trip") as caught:
        stat_below(ROOT, disk)("trip/a.jpg")
    assert caught.value.errno == number
    with pytest.raises(OSError, match="/photos/trip") as caught:
        is_folder_below(ROOT, "trip", disk)
    assert caught.value.errno == number


def test_a_file_on_a_disk_that_fails_for_long_is_not_lost() -> None:
    class Failing(FoldingDisk):
        is_failing = True

        def lstat(self, path: str) -> os.stat_result:
            if self.is_failing:
                raise OSError(errno.EIO, os.strerror(errno.EIO), path)
            return super().lstat(path)

    disk = Failing(["a.jpg"])
    waiting = Debouncer(stat_below(ROOT, disk), settle_seconds=SETTLE, removal_seconds=REMOVAL)
    waiting.add("a.jpg", 0.0)
    assert not waiting.ready(100.0, 10)
    disk.is_failing = False
    assert not waiting.ready(102.0, 10)
    assert list(waiting.ready(104.0, 10).present) == ["a.jpg"]


def test_two_files_whose_names_differ_only_in_case_are_both_there(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("x")
    (tmp_path / "A.JPG").hardlink_to(tmp_path / "a.jpg")
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("needs a file system that tells a.jpg from A.JPG")
    look = stat_below(tmp_path)
    assert look("a.jpg") == look("A.JPG") is not None


@dataclass
class FoldingDisk:
    """A disk that takes upper and lower case, and composed and decomposed letters, for the same."""

    names: list[str]
    """Paths, with those of the folders."""
    is_folding: bool = True
    time: float = 0.0
    n_listings: int = 0

    def lstat(self, path: str) -> os.stat_result:
        folded = [self._fold(name) for name in self.names]
        try:
            inode = folded.index(self._fold(path.removeprefix("/photos/")))
        except ValueError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
        is_folder = any(name.startswith(self.names[inode] + "/") for name in self.names)
        mode = stat.S_IFDIR if is_folder else stat.S_IFREG
        return os.stat_result((mode | 0o644, inode, 1, 1, 0, 0, 5, 0, 0, 0))

    def listdir(self, path: str) -> Iterable[str]:
        self.n_listings += 1
        folder = path.removeprefix("/photos").strip("/")
        return [
            name.rpartition("/")[2] for name in self.names if self._fold(name.rpartition("/")[0]) == self._fold(folder)
        ]

    def now(self) -> float:
        return self.time

    def _fold(self, path: str) -> str:
        return unicodedata.normalize("NFC", path).casefold() if self.is_folding else path


ROOT = Path("/photos")


def test_where_case_does_not_count_a_file_is_there_only_as_its_folder_spells_it() -> None:
    disk = FoldingDisk(["IMG.jpg"])
    look = stat_below(ROOT, disk)
    assert look("IMG.jpg") is not None
    assert look("img.JPG") is None
    disk.names, disk.time = ["img.JPG"], 1.0
    assert look("IMG.jpg") is None
    assert look("img.JPG") is not None


def test_a_folder_that_changed_only_its_case_takes_its_files_along() -> None:
    disk = FoldingDisk(["trip", "trip/day", "trip/day/a.jpg"])
    look = stat_below(ROOT, disk)
    assert look("trip/day/a.jpg") is not None
    assert look("Trip/day/a.jpg") is None
    assert is_folder_below(ROOT, "trip/day", disk)
    assert not is_folder_below(ROOT, "trip/DAY", disk)
    assert not is_folder_below(ROOT, "trip/day/a.jpg", disk)
    assert not is_folder_below(ROOT, "trip/night", disk)


def test_composed_and_decomposed_letters_are_one_name_with_one_spelling() -> None:
    composed, decomposed = (unicodedata.normalize(form, "Ä7") for form in ("NFC", "NFD"))
    look = stat_below(ROOT, FoldingDisk([decomposed]))
    assert look(decomposed) is not None
    assert look(composed) is None


def test_a_case_only_rename_is_one_file_gone_and_one_present() -> None:
    disk = FoldingDisk(["IMG.jpg"])
    waiting = Debouncer(stat_below(ROOT, disk), settle_seconds=SETTLE, removal_seconds=REMOVAL)
    disk.names = ["img.JPG"]
    waiting.add("IMG.jpg", 0.0)
    waiting.add("img.JPG", 0.0)
    disk.time = 5.0
    settled = waiting.ready(5.0, 10)
    assert list(settled.present) == ["img.JPG"]
    assert settled.gone == ("IMG.jpg",)


def test_nothing_is_listed_where_case_counts() -> None:
    disk = FoldingDisk(["IMG.jpg", "img.jpg"], is_folding=False)
    look = stat_below(ROOT, disk)
    assert look("IMG.jpg") != look("img.jpg")
    assert disk.n_listings == 0


def test_a_folder_is_not_listed_for_every_one_of_its_files() -> None:
    disk = FoldingDisk([f"{i}.jpg" for i in range(100)])
    look = stat_below(ROOT, disk)
    assert all(look(name) for name in disk.names)
    assert disk.n_listings == 1
    disk.time = 2 * FRESH_SECONDS
    assert look("1.jpg")
    assert disk.n_listings == 2


def test_a_file_whose_folder_cannot_be_listed_is_not_given_up() -> None:
    class Unlistable(FoldingDisk):
        def listdir(self, path: str) -> Iterable[str]:
            raise PermissionError(path)

    assert stat_below(ROOT, Unlistable(["a.jpg"]))("a.jpg") is not None
