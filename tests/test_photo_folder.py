"""A folder of links to photos that were searched for: it follows the search, and nothing else in it is touched."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from drawn import Library
from hypothesis import given
from hypothesis import strategies as st

from facewatch.errors import FolderError
from facewatch.folders.disk import make_link
from facewatch.folders.model import FolderEntry, LinkKind, WantedLink
from facewatch.folders.photos import MARK, PhotoFolder, PhotoLink, PhotoPlan, plan_photos


def wanted_link(photo_id: int, source: Path) -> WantedLink:
    return WantedLink(photo_id, (str(source),))


def names(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir() if one.name != MARK}


def test_the_photos_of_somebody_are_links_in_a_folder_and_follow(family: Library, run: Any) -> None:
    folder = family.base / "Ben"
    assert run("photos", "with", "Ben", "--folder", str(folder)).out == f"{folder}: 3 links: 3 made, 0 removed\n"
    assert (folder / "c.png").readlink() == Path("../Photos/c.png")
    assert names(folder) == {"a.png", "c.png", "d.png"}
    assert run("photos", "with", "Ben", "--folder", str(folder)).out == f"{folder}: 3 links: nothing to do\n"
    answer = run("photos", "Ben", "without", "Anna", "--folder", str(folder), "--json")
    assert json.loads(answer.out) == {"folder": str(folder), "n_links": 2, "n_made": 0, "n_removed": 1, "faults": []}
    assert names(folder) == {"c.png", "d.png"}


def test_a_dry_run_says_what_would_be_done_and_does_nothing(family: Library, run: Any) -> None:
    folder = family.base / "Ben"
    answer = run("photos", "with", "Ben", "without", "Anna", "--folder", str(folder), "--dry-run")
    assert answer.out.splitlines() == [
        f"make d.png -> {family.photos}/d.png",
        f"make c.png -> {family.photos}/c.png",
        f"{folder}: 2 links would be there: 2 made, 0 removed",
    ]
    assert not folder.exists()
    assert run("photos", "Ben", "--dry-run").code == 2


def test_what_others_put_there_stays_and_keeps_its_name(family: Library, run: Any) -> None:
    folder = family.base / "Ben"
    run("photos", "with", "Ben", "--folder", str(folder))
    (folder / "own.txt").touch()
    (folder / "c.png").unlink()
    (folder / "c.png").write_text("mine now")
    run("photos", "with", "Ben", "--folder", str(folder))
    assert (folder / "c.png").read_text() == "mine now"
    assert names(folder) == {"a.png", "c.png", "c (Photos).png", "d.png", "own.txt"}
    run("photos", "Ben", "2001", "--folder", str(folder))
    assert names(folder) == {"c.png", "own.txt"}


def test_a_link_that_was_deleted_or_whose_photo_moved_is_made_again(family: Library, run: Any) -> None:
    folder = family.base / "Ben"
    run("photos", "with", "Ben", "--folder", str(folder))
    (folder / "d.png").unlink()
    (family.photos / "sub").mkdir()
    (family.photos / "c.png").rename(family.photos / "sub" / "c.png")
    family.scan()
    run("photos", "with", "Ben", "--folder", str(folder))
    assert (folder / "c.png").resolve() == family.photos / "sub" / "c.png"
    assert names(folder) == {"a.png", "c.png", "d.png"}


def test_photos_of_a_library_that_is_offline_keep_their_links(family: Library, run: Any) -> None:
    folder = family.base / "Ben"
    run("photos", "with", "Ben", "--folder", str(folder))
    family.photos.rename(family.base / "unplugged")
    assert "nothing to do" in run("photos", "with", "Ben", "--folder", str(folder)).out
    assert names(folder) == {"a.png", "c.png", "d.png"}


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("full", "not empty"),
        ("file", "not a folder"),
        ("Photos/new", "only read"),
        (".", "only read"),
        ("People", "people folder"),
        ("People/new", "people folder"),
        ("other", "another catalog"),
        ("damaged", "cannot be read"),
    ],
)
def test_a_folder_of_somebody_else_is_refused(family: Library, run: Any, place: str, said: str) -> None:
    for name, content in {"full": None, "other": {"library": "another", "links": []}, "damaged": {"links": 3}}.items():
        (family.base / name).mkdir()
        (family.base / name / ("letter.txt" if content is None else MARK)).write_text(json.dumps(content))
    (family.base / "file").touch()
    before = sorted(map(str, family.base.rglob("*")))
    answer = run("photos", "with", "Ben", "--folder", str(family.base / place))
    assert answer.code == 8
    assert said in answer.err
    assert sorted(map(str, family.base.rglob("*"))) == before


def test_such_a_folder_is_never_taken_for_a_people_folder_that_was_renamed(family: Library, run: Any) -> None:
    run("photos", "with", "Ben", "--folder", str(family.base / "Ben"))
    shutil.rmtree(family.people)
    assert run("folders").code == 0
    assert (family.people / "Ben" / "c.png").is_symlink()


@pytest.mark.parametrize("kind", ["hardlink", "copy"])
def test_hard_links_and_copies_are_made_where_the_people_folder_has_them(family: Library, kind: LinkKind) -> None:
    folder = family.base / "Ben"
    wanted = [wanted_link(1, family.photos / "a.png"), wanted_link(2, family.photos / "c.png")]
    with family.app({"folders.link": kind}) as app:
        assert app.photo_folder(folder).sync(wanted).n_made == 2
        assert (folder / "a.png").samefile(family.photos / "a.png") is (kind == "hardlink")
        assert (folder / "a.png").read_bytes() == (family.photos / "a.png").read_bytes()
        again = app.photo_folder(folder).sync(wanted)
        assert (again.n_made, again.n_removed) == (0, 0)
        # Nothing is read again for a hard link of ours.
        _, changes = app.libraries.scan(family.photos)
        assert (changes.touched, changes.changed) == ((), ())
        assert app.photo_folder(folder).sync(wanted[:1]).n_removed == 1
        assert names(folder) == {"a.png"}


def test_a_photo_that_is_gone_is_a_fault_of_its_own(family: Library) -> None:
    folder = family.base / "Ben"
    wanted = [wanted_link(1, family.photos / "gone.png"), wanted_link(2, family.photos / "c.png")]
    with family.app({"folders.link": "copy"}) as app:
        done = app.photo_folder(folder).sync(wanted)
    assert (done.n_made, len(done.faults)) == (1, 1)
    assert "gone.png" in done.faults[0]


def test_a_folder_that_cannot_hold_links_says_what_to_set(family: Library) -> None:
    def refuse(kind: LinkKind, target: str, name: str, *, target_fd: int | None, dir_fd: int) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    with family.app() as app:
        folder = PhotoFolder(app.catalog, family.base / "Ben", kind="symlink", people=family.people, make_link=refuse)
        with pytest.raises(FolderError, match="set link"):
            folder.sync([wanted_link(1, family.photos / "a.png")])


def test_a_run_that_was_killed_is_completed_and_its_links_are_known(family: Library) -> None:
    folder = family.base / "Ben"
    wanted = [wanted_link(n, family.photos / f"{name}.png") for n, name in enumerate("acd")]
    n_made = 0

    def stop(kind: LinkKind, target: str, name: str, *, target_fd: int | None, dir_fd: int) -> None:
        nonlocal n_made
        if n_made == 2:
            raise KeyboardInterrupt
        n_made += 1
        make_link(kind, target, name, target_fd=target_fd, dir_fd=dir_fd)

    with family.app() as app:
        killed = PhotoFolder(app.catalog, folder, kind="symlink", people=family.people, make_link=stop)
        with pytest.raises(KeyboardInterrupt):
            killed.sync(wanted)
        done = app.photo_folder(folder).sync(wanted[1:])
        assert (done.n_links, done.n_made, done.n_removed) == (2, 1, 1)
        assert names(folder) == {"c.png", "d.png"}


# --- plans ---

PATHS = st.sampled_from([f"/lib/{folder}/{name}" for folder in "ab" for name in ("x.jpg", "X.jpg", "y.jpg")])
STRANGERS = st.sets(st.sampled_from(["x.jpg", "y.jpg", "own.txt"]))


@given(st.lists(st.lists(PATHS, unique=True), max_size=3), STRANGERS)
def test_whatever_is_wanted_one_after_another_is_there_and_nothing_twice(
    searches: list[list[str]], strangers: set[str]
) -> None:
    entries: dict[str, FolderEntry] = {name: FolderEntry("file") for name in strangers}
    recorded: tuple[PhotoLink, ...] = ()
    for search in searches:
        wanted = [WantedLink(n, (path,)) for n, path in enumerate(search)]
        plan = plan_photos(wanted, recorded, entries, {}, root="/links", kind="symlink")
        entries, recorded = after(plan, entries)
        assert sorted(link.source for link in recorded) == sorted(search)
        assert strangers <= entries.keys()
        assert len({name.casefold() for name in entries}) == len(entries) == len(recorded) + len(strangers)
        again = plan_photos(wanted, recorded, entries, {}, root="/links", kind="symlink")
        assert (again.made, again.removed) == ((), ())


def after(plan: PhotoPlan, entries: Mapping[str, FolderEntry]) -> tuple[dict[str, FolderEntry], tuple[PhotoLink, ...]]:
    """Return what is there, and on record, when a plan was applied."""
    there = {name: entry for name, entry in entries.items() if name not in of(plan.removed)}
    made = {link.name: FolderEntry("symlink", target=link.stamp.partition(":")[2]) for link in plan.made}
    assert not made.keys() & there.keys()
    return there | made, (*plan.kept, *plan.made)


def of(links: Iterable[PhotoLink]) -> set[str]:
    return {link.name for link in links}
