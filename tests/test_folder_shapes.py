"""The shapes that the people folder may have, each with what it means when somebody changes something there."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from drawn import FAMILY, Library, decided

from facewatch.app import App
from facewatch.checks.audit import check_folder
from facewatch.errors import ConfigError, FolderError
from facewatch.folders.disk import make_link
from facewatch.folders.model import CALLED, LinkKind, Shape
from facewatch.folders.observed import Doubt
from facewatch.folders.sync import PeopleFolder
from facewatch.people.corrections import Decisions
from facewatch.people.folder_reader import Waiting
from facewatch.people.from_folder import Meaning
from facewatch.presentation.reports import status_facts
from facewatch.types import Match

THREE = {"folders.unnamed_photos": 3}


def synced(library: Library, settings: Mapping[str, Any]) -> set[str]:
    """Return what stands in the people folder when it is as these settings want it."""
    with library.app(settings) as app:
        app.folder.sync()
        assert app.folder.plan().is_empty
        assert app.folder.outdated() == set()
    return set(library.tree())


def doubt(app: App) -> Doubt | None:
    waiting = Waiting.of(app.catalog)
    return waiting.doubt if waiting is not None else None


@pytest.fixture
def place(family: Library) -> Library:
    """Anna on a and b, Ben on a, c and d, somebody on e and f; g is nobody's."""
    assert "_unnamed/Person 0003/e.png" in family.tree()
    return family


def test_who_has_no_name_needs_as_many_photos_as_are_asked_for(place: Library) -> None:
    whole = set(place.tree())
    named = {path for path in whole if not path.startswith("_unnamed/")}
    assert synced(place, THREE) == named, "Anna has two photos, and a name"
    assert not (place.people / "_unnamed").exists()
    assert synced(place, {"folders.unnamed_photos": 2}) == whole
    with place.app() as app:
        assert decided(app) == []


def test_who_falls_below_by_a_deleted_link_loses_the_folder_and_nothing_else_is_meant(place: Library) -> None:
    two = {"folders.unnamed_photos": 2}
    before = set(place.tree())
    (place.people / "_unnamed/Person 0003/e.png").unlink()
    with place.app(two) as app:
        app.folder.sync()
        assert not (place.people / "_unnamed").exists()
        app.folder.sync()
        assert decided(app) == ["reject"]
        assert app.catalog.people.one(3) is not None
        app.corrections.undo()
        app.folder.sync()
    assert set(place.tree()) == before


def test_who_grows_past_the_number_gets_a_folder_with_the_photos_from_before(place: Library) -> None:
    synced(place, THREE)
    place.draw("h.png", (3, 2))
    place.scan(**THREE)
    assert {path for path in place.tree() if path.startswith("_unnamed/")} == {
        f"_unnamed/Person 0003/{name}.png" for name in "efh"
    }


# What kind of links --------------------------------------------------------------------------------------------------


@dataclass
class Disk:
    """Makes only these kinds of links; the others it refuses as `errno` says."""

    holds: Collection[LinkKind]
    errno: int = errno.EPERM

    def __call__(self, kind: LinkKind, target: str, name: str, *, target_fd: int | None, dir_fd: int) -> None:
        if kind not in self.holds:
            raise OSError(self.errno, os.strerror(self.errno))
        make_link("copy" if kind == "reflink" else kind, target, name, target_fd=target_fd, dir_fd=dir_fd)


EXFAT, SHARE, EXT4 = Disk({"copy"}), Disk({"hardlink", "copy"}), Disk({"symlink", "hardlink", "copy"})


def kinds_on(library: Library, disk: Disk, kind: LinkKind | None = None) -> Counter[str]:
    """Return how many links of which kind stand on record when the people folder has been synced on such a disk."""
    with library.app() as app:
        folder = PeopleFolder(app.catalog, library.people, shape=Shape(kind=kind), make_link=disk)
        folder.sync()
        assert folder.plan().is_empty
        kinds = Counter(link.stamp.partition(":")[0] for link in app.catalog.links.all())
        assert folder.kind in kinds
        return kinds


@pytest.mark.parametrize(
    ("disk", "kind"),
    [(EXT4, "symlink"), (SHARE, "hardlink"), (Disk({"reflink", "copy"}), "reflink"), (EXFAT, "copy")],
)
def test_links_are_of_the_kind_that_the_disk_can_hold(place: Library, disk: Disk, kind: str) -> None:
    assert kinds_on(place, disk) == {kind: 7}
    with place.app() as app:
        shown = dict(status_facts(app.status(), datetime.now(UTC)))["people folder"]
        assert shown == f"{place.people}{'' if kind == 'symlink' else f' ({CALLED[app.folder.kind]})'}"


def test_what_was_chosen_is_said_once_and_stays(place: Library, caplog: pytest.LogCaptureFixture) -> None:
    said = "cannot hold a symlink (Operation not permitted), so photos get there as hard links (link under [folders])"
    assert kinds_on(place, SHARE) == {"hardlink": 7}
    assert kinds_on(place, SHARE) == {"hardlink": 7}
    assert caplog.text.count(said) == 1
    inodes = {path: (place.people / path).lstat().st_ino for path in standing(place)}
    assert kinds_on(place, EXT4) == {"hardlink": 7}, "nothing is made again because symlinks would do, too"
    assert {path: (place.people / path).lstat().st_ino for path in standing(place)} == inodes
    assert kinds_on(place, EXT4, "symlink") == {"symlink": 7}, "whoever asks for them gets them"


def test_a_folder_that_was_moved_to_another_disk_gets_what_that_can_hold(place: Library) -> None:
    assert kinds_on(place, SHARE) == {"hardlink": 7}
    assert kinds_on(place, Disk({"symlink", "copy"}, errno.EXDEV)) == {"symlink": 7}


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EIO])
def test_a_disk_that_is_full_or_broken_is_no_reason_for_another_kind(place: Library, number: int) -> None:
    before = place.tree()
    with place.app() as app:
        folder = PeopleFolder(app.catalog, place.people, shape=Shape(kind=None), make_link=Disk({"copy"}, number))
        with pytest.raises(FolderError, match=os.strerror(number)):
            folder.sync()
        assert folder.kind == "symlink"
    assert place.tree() == before


def test_a_library_that_is_not_there_is_no_reason_for_another_kind(place: Library) -> None:
    assert kinds_on(place, SHARE) == {"hardlink": 7}
    place.photos.rename(place.base / "elsewhere")
    assert kinds_on(place, SHARE) == {"hardlink": 7}


def test_a_kind_that_was_chosen_without_photos_is_tried_again_with_one(library: Library) -> None:
    """The people folder is on another file system than the photos, which only a photo can tell."""
    across = Disk({"hardlink", "copy"})

    def maker(kind: LinkKind, target: str, name: str, *, target_fd: int | None, dir_fd: int) -> None:
        if kind == "hardlink" and target != ".facewatch":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        across(kind, target, name, target_fd=target_fd, dir_fd=dir_fd)

    with library.app() as app:
        folder = PeopleFolder(app.catalog, library.people, shape=Shape(kind=None), make_link=maker)
        folder.check()
        assert folder.kind == "hardlink"
        library.draw_all(FAMILY)
        library.scan(**{"folders.link": "copy"})
        shutil.rmtree(library.people / "_unnamed")
        folder.check()
        assert folder.kind == "copy"


@pytest.mark.parametrize("kind", [None, "copy"])
def test_copies_that_find_no_room_are_not_begun(place: Library, kind: LinkKind | None) -> None:
    before = place.tree()
    os.truncate(place.photos / "c.png", 1 << 43)
    with place.app() as app:
        folder = PeopleFolder(app.catalog, place.people, shape=Shape(kind=kind), make_link=EXFAT)
        with pytest.raises(FolderError, match=r"7 copies of photos would take 8796\d+ MB, and its disk"):
            folder.sync()
    assert place.tree() == before


# People together -----------------------------------------------------------------------------------------------------

TOGETHER = {"folders.together": ["Anna & Ben"]}


@pytest.fixture
def pair(place: Library) -> Library:
    """Anna and Ben are together on a, and on h.png, which is drawn last."""
    place.draw("h.png", (1, 2), (2, 3))
    place.scan(**TOGETHER)
    assert together(place) == {"Anna & Ben/a.png", "Anna & Ben/h.png"}
    return place


def together(library: Library) -> set[str]:
    return {path.removeprefix("_together/") for path in library.tree() if path.startswith("_together/")}


def decide(app: App, decision: Callable[[Decisions], object]) -> None:
    with app.corrections.deciding() as decisions:
        decision(decisions)


def face_of(app: App, photo: str, person_id: int) -> str:
    """Return the face of a person in a photo, as commands name it."""
    [face] = app.catalog.faces.beside([app.lookup.photo_id(Path(photo))], person_id)
    return f"f{face.id}"


def test_photos_on_which_all_of_some_people_are_have_a_folder(pair: Library) -> None:
    assert pair.tree()["_together/Anna & Ben/a.png"] == "a.png"
    assert synced(pair, TOGETHER) == set(pair.tree())
    with pair.app(TOGETHER) as app:
        decide(app, lambda d: d.reject([face_of(app, "h.png", 1)], "Anna"))
        assert together(pair) == {"Anna & Ben/a.png"}
        app.corrections.undo()
        assert together(pair) == {"Anna & Ben/a.png", "Anna & Ben/h.png"}
        decide(app, lambda d: d.hide("Ben"))
        assert not (pair.people / "_together").exists()
        app.corrections.undo()
        assert together(pair) == {"Anna & Ben/a.png", "Anna & Ben/h.png"}
        assert app.catalog.faults() == []
    assert {path.partition("/")[0] for path in synced(pair, {})} == {"Anna", "Ben", "_unnamed"}
    assert not (pair.people / ".facewatch.extras").exists()


def test_people_together_are_those_who_were_called_so_whatever_they_are_called_now(pair: Library) -> None:
    with pair.app(TOGETHER) as app:
        app.folder.sync()
        for old, new in (("Anna", "Anne"), ("Anne", "Anne Marie"), ("Ben", "Anna's brother")):
            app.corrections.rename(old, new)
        assert together(pair) == {"Anne Marie & Anna's brother/a.png", "Anne Marie & Anna's brother/h.png"}
        assert app.folder.plan().faults == ()
        app.corrections.rename("p3", "Anna")
        assert together(pair) == set(), "who is called so now is meant first"
        app.corrections.undo(3)
        assert together(pair) == {"Anne & Ben/a.png", "Anne & Ben/h.png"}


def test_people_together_are_also_those_whom_they_were_merged_into(pair: Library) -> None:
    with pair.app(TOGETHER) as app:
        app.folder.sync()
        app.corrections.rename("p3", "Zoe")
        decide(app, lambda d: d.merge("Zoe", ["Anna"]))
        assert together(pair) == {"Zoe & Ben/a.png", "Zoe & Ben/h.png"}
        assert app.folder.plan().faults == ()
        app.corrections.undo(1)
        assert together(pair) == {"Anna & Ben/a.png", "Anna & Ben/h.png"}


def test_a_folder_of_people_together_is_called_as_they_are(pair: Library) -> None:
    with pair.app({"folders.together": ["ben & ANNA"]}) as app:
        app.folder.sync()
        assert together(pair) == {"Ben & Anna/a.png", "Ben & Anna/h.png"}
        assert [type(action).__name__ for action in app.folder.plan().actions] == []
    with pair.app({"folders.together": ["Tom && Jerry & Ben"]}) as app:
        decide(app, lambda d: d.rename("Anna", "Tom & Jerry"))
    assert together(pair) == {"Tom & Jerry & Ben/a.png", "Tom & Jerry & Ben/h.png"}


def test_a_name_that_nobody_has_is_said_and_hinders_nothing(pair: Library, caplog: pytest.LogCaptureFixture) -> None:
    with pair.app({"folders.together": ["Anna & Zoe", "Anna & Ben", "Anna & anna"]}) as app:
        applied = app.folder.sync()
        said = "_together/Anna & Zoe: nobody is called Zoe: change together in the settings"
        assert app.folder.sync().faults == applied.faults == (said,)
    assert caplog.text.count(said) == 1, "a watcher does not say it again and again"
    assert together(pair) == {"Anna & Ben/a.png", "Anna & Ben/h.png"}


@pytest.mark.parametrize("value", ["Anna & Ben", ["Anna"], ["Anna & "], [["Anna", "Ben"]]])
def test_only_lists_of_names_are_taken_for_people_together(library: Library, value: object) -> None:
    with pytest.raises(ConfigError, match="a list of names with & between them"):
        library.app({"folders.together": value})


def standing(library: Library) -> dict[str, str]:
    """Return the paths of all links and files in the people folder, and the texts of the links."""
    paths = [path for path in library.people.rglob("*") if not path.name.startswith(".") and not path.is_dir()]
    return {str(path.relative_to(library.people)): str(path.readlink()) if path.is_symlink() else "" for path in paths}


def put_right(library: Library, settings: Mapping[str, Any], before: Mapping[str, str]) -> None:
    """Whatever was done in the folder decides nothing, and the next sync makes all as it was."""
    with library.app(settings) as app:
        entries = list(app.catalog.journal.entries())
        app.folder.sync()
        assert app.folder.plan().is_empty
        assert list(app.catalog.journal.entries()) == entries
    assert standing(library) == before


@pytest.mark.parametrize("kind", ["symlink", "hardlink", "copy"])
def test_what_somebody_does_with_people_together_means_nothing_and_is_put_right(pair: Library, kind: str) -> None:
    settings = TOGETHER | {"folders.link": kind}
    synced(pair, settings)
    before, folder = standing(pair), pair.people / "_together/Anna & Ben"

    def delete_link() -> None:
        (folder / "a.png").unlink()

    def move_link_up() -> None:
        (folder / "a.png").rename(folder.parent / "a.png")

    def delete_folder() -> None:
        shutil.rmtree(folder)

    def delete_all() -> None:
        shutil.rmtree(folder.parent)

    def rename_folder() -> None:
        folder.rename(folder.parent / "Mum and Dad")

    def put_a_link_of_anna_there() -> None:
        (pair.people / "Anna/b.png").rename(folder / "b.png")

    def replace_by_a_link_of_anna() -> None:
        (pair.people / "Anna/a.png").rename(folder / "a.png")

    def put_all_of_anna_there() -> None:
        (pair.people / "Anna").rename(folder.parent / "Mum")

    acts = [delete_link, move_link_up, delete_folder, delete_all, rename_folder, put_a_link_of_anna_there]
    # A hard link or a copy that takes the place of another of the same photo cannot be told from it.
    acts += [put_all_of_anna_there] + [replace_by_a_link_of_anna] * (kind == "symlink")
    for act in acts:
        act()
        assert standing(pair) != before
        put_right(pair, settings, before)


def test_a_link_of_people_together_that_is_put_into_a_folder_is_a_photo_of_that_person(pair: Library) -> None:
    """The right one is the face that nobody with a name has."""
    pair.draw("i.png", (1, 3), (2, 4), (3, 4))
    pair.scan(**TOGETHER)
    (pair.people / "_together/Anna & Ben/i.png").rename(pair.people / "Carl.png")
    (pair.people / "Carl").mkdir()
    (pair.people / "Carl.png").rename(pair.people / "Carl/i.png")
    with pair.app(TOGETHER) as app:
        app.folder.sync()
        assert decided(app) == ["assign"]
        names = [face["name"] for face in app.lookup.photo(Path("i.png"))["faces"]]
        assert names == ["Anna", "Ben", "Carl"]
    assert pair.tree()["Carl/i.png"] == "i.png"
    assert together(pair) == {f"Anna & Ben/{name}.png" for name in "ahi"}


def test_a_record_of_extra_folders_that_was_damaged_or_forged_costs_nothing(pair: Library) -> None:
    before, record = standing(pair), pair.people / ".facewatch.extras"
    (pair.people / "Anna/own.txt").write_text("mine")
    stamp = f"copy:4:{(pair.people / 'Anna/own.txt').stat().st_mtime_ns}"
    for text in (
        *("", "[]", '{"folders": 1, "links": 2}', '{"folders": [["x", 1]], "links": [[1]]}'),
        json.dumps({"folders": [[-5, "Anna"]], "links": [[-1, -5, 1, "Anna/own.txt", "/x", stamp]]}),
        json.dumps(
            {"folders": [[-5, "_together/.."]], "links": [[-1, -5, 1, "_together/../Anna/own.txt", "/x", stamp]]}
        ),
    ):
        record.write_text(text)
        put_right(pair, TOGETHER, before | {"Anna/own.txt": ""})


def test_a_file_in_the_place_of_the_folder_is_said(pair: Library) -> None:
    synced(pair, {})
    (pair.people / "_together").write_text("mine")
    with pair.app(TOGETHER) as app:
        assert app.folder.sync().faults == ("_together: not a folder, so groups of people have none: move it away",)
        assert app.folder.plan().is_empty


# Years and dates -----------------------------------------------------------------------------------------------------

YEARS = {"folders.layout": "person/year"}
DATES = {"folders.names": "date"}
TAKEN = {"a": "2023-05-03T14:22:10", "b": "2024-01-02T03:04:05", "c": "2024-12-31T23:59:59", "e": "2023-07-08T09:10:11"}
"""When photos were taken; of the others nobody knows."""
BY_YEAR = {
    *("Anna/2023/a.png", "Anna/2024/b.png", "Ben/2023/a.png", "Ben/2024/c.png", "Ben/d.png"),
    *("_unnamed/Person 0003/2023/e.png", "_unnamed/Person 0003/f.png"),
}
WITH_DATES = {
    *("Anna/2023-05-03 14.22.10 a.png", "Anna/2024-01-02 03.04.05 b.png", "Ben/2023-05-03 14.22.10 a.png"),
    *("Ben/2024-12-31 23.59.59 c.png", "Ben/d.png"),
    *("_unnamed/Person 0003/2023-07-08 09.10.11 e.png", "_unnamed/Person 0003/f.png"),
}


@pytest.fixture
def dated(place: Library) -> Library:
    """Photos of which some say when they were taken."""
    with place.app() as app, app.catalog.write():
        app.catalog.photos.set_taken({app.lookup.photo_id(Path(f"{name}.png")): at for name, at in TAKEN.items()})
    return place


def shown(library: Library) -> set[str]:
    """Return the paths in the people folder, after checking that each is a photo of the library."""
    tree = library.tree()
    for path, leads_to in tree.items():
        assert (library.people / path).is_file()
        assert not leads_to or path.endswith(leads_to)
    return set(tree)


@pytest.mark.parametrize("kind", ["symlink", "hardlink", "copy"])
def test_links_are_moved_when_their_places_or_names_are_to_be_others(dated: Library, kind: str) -> None:
    flat = set(dated.tree())
    links = {"folders.link": kind}
    synced(dated, links)
    inodes = {(dated.people / path).lstat().st_ino for path in flat}
    for settings, wanted in ((YEARS, BY_YEAR), (DATES, WITH_DATES), (YEARS, BY_YEAR), ({}, flat)):
        assert synced(dated, links | settings) == shown(dated) == wanted
        if kind != "symlink":
            assert {(dated.people / path).lstat().st_ino for path in wanted} == inodes, "none is made again"
    assert not [path for path in dated.people.rglob("20*") if path.is_dir()], "no empty years stay"
    with dated.app() as app:
        assert decided(app) == []
        assert app.catalog.faults() == []


def test_years_and_dates_go_together_and_with_every_name_of_a_folder(dated: Library) -> None:
    both = YEARS | DATES | {"folders.together": ["Anna & Ben"]}
    synced(dated, both)
    assert "Anna/2024/2024-01-02 03.04.05 b.png" in dated.tree()
    assert together(dated) == {"Anna & Ben/2023/2023-05-03 14.22.10 a.png"}
    with dated.app(both) as app:
        assert check_folder(app.catalog, app.folder) == [], "nothing is wrong, and nothing is somebody else's"
    with dated.app(both) as app:
        decide(app, lambda d: d.rename("p3", "Carl"))
        assert {path for path in shown(dated) if path.startswith("Carl")} == {
            *("Carl/2023/2023-07-08 09.10.11 e.png", "Carl/f.png"),
        }
        assert not (dated.people / "_unnamed").exists()
        decide(app, lambda d: d.hide("Carl"))
        assert not (dated.people / "Carl").exists()
        app.corrections.undo(2)
        assert app.folder.plan().is_empty
        assert "_unnamed/Person 0003/2023/2023-07-08 09.10.11 e.png" in dated.tree()


def test_a_photo_that_turns_out_to_be_of_another_year_moves_there(dated: Library) -> None:
    both = YEARS | DATES
    synced(dated, both)
    with dated.app(both) as app:
        with app.catalog.write():
            app.catalog.photos.set_taken({app.lookup.photo_id(Path("b.png")): "1999-01-02T03:04:05"})
        app.folder.sync()
        assert app.folder.plan().is_empty
    assert "Anna/1999/1999-01-02 03.04.05 b.png" in shown(dated)
    assert not (dated.people / "Anna/2024").exists()


def test_a_name_that_somebody_gave_a_link_stays_in_every_layout(dated: Library) -> None:
    (dated.people / "Anna/a.png").rename(dated.people / "Anna/at the lake.png")
    synced(dated, DATES)
    assert {path.name for path in (dated.people / "Anna").iterdir()} == {
        *("at the lake.png", "2024-01-02 03.04.05 b.png"),
    }
    synced(dated, YEARS | {"folders.link": "hardlink"})
    assert set(dated.tree()) - BY_YEAR == {"Anna/2023/at the lake.png"}
    synced(dated, {})
    assert {path.name for path in (dated.people / "Anna").iterdir()} == {"at the lake.png", "b.png"}
    with dated.app() as app:
        assert decided(app) == []


def test_a_file_that_is_called_by_its_date_gets_it_no_second_time(library: Library) -> None:
    """As Dropbox calls what it takes from a camera."""
    names = {"2023-05-03 14.22.10": [(1, 0)], "2023-05-03 14.22.10 HDR": [(1, 1)], "x": [(1, 2)]}
    library.draw_all(names)
    library.scan()
    with library.app() as app, app.catalog.write():
        photos = [app.lookup.photo_id(library.photos / f"{name}.png") for name in names]
        app.catalog.photos.set_taken(dict.fromkeys(photos, "2023-05-03T14:22:10"))
    made = {path.rpartition("/")[2] for path in synced(library, DATES)}
    assert made == {"2023-05-03 14.22.10.png", "2023-05-03 14.22.10 HDR.png", "2023-05-03 14.22.10 x.png"}
    assert {path.rpartition("/")[2] for path in synced(library, {})} == {f"{name}.png" for name in names}


def test_folders_with_years_and_dates_can_be_taken_over(dated: Library, run: Any) -> None:
    both = YEARS | DATES
    synced(dated, both)
    tree = dated.tree()
    for file in dated.catalog.parent.glob(f"{dated.catalog.name}*"):
        file.unlink()
    with dated.app():
        pass
    taken = json.loads(run("folders", "--take-over", "--json").out)["taken_over"]
    assert (taken["n_links"], taken["names"], taken["left"]) == (7, ["Anna", "Ben"], [])
    assert dated.tree() == {}, "nobody is known yet"
    dated.scan()
    assert set(dated.tree()) >= {"Anna/a.png", "Anna/b.png", "Ben/c.png"}
    assert len(dated.tree()) == len(tree)


def test_what_is_done_in_years_is_understood_as_in_folders_without_them(dated: Library) -> None:
    synced(dated, YEARS)
    people = dated.people
    (people / "Anna/2024/b.png").rename(people / "Anna/2023/b.png")
    (people / "Ben/2023").rename(people / "Ben/Best")
    with dated.app(YEARS) as app:
        app.folder.sync()
        assert decided(app) == [], "a link in another year of the same person means nothing"
    assert set(dated.tree()) == BY_YEAR
    (people / "Anna/2023/a.png").unlink()
    (people / "Ben/2024").rename(people / "Anna/2025")
    (people / "_unnamed/Person 0003").rename(people / "Carl")
    with dated.app(YEARS) as app:
        app.folder.sync()
        assert sorted(decided(app)) == ["assign", "reject", "rename"]
        assert whose(app, "c.png") == ["Anna"]
        assert whose(app, "a.png") == [None, "Ben"]
    assert set(dated.tree()) == {
        *("Anna/2024/b.png", "Anna/2024/c.png", "Ben/2023/a.png", "Ben/d.png", "Carl/2023/e.png", "Carl/f.png"),
    }
    (people / "Carl/2023/e.png").rename(people / "Anna/e.png")
    with dated.app(YEARS) as app:
        app.folder.sync()
        assert (people / "Anna/2023/e.png").is_file()
        assert not (people / "Carl/2023").exists(), "a year without links goes, whoever took them out"
        app.corrections.undo(4)
        app.folder.sync()
    assert set(dated.tree()) == BY_YEAR


def whose(app: App, photo: str) -> list[str | None]:
    return [face["name"] for face in app.lookup.photo(Path(photo))["faces"]]


def test_a_year_that_is_deleted_means_its_photos_within_the_guards(dated: Library) -> None:
    synced(dated, YEARS)
    shutil.rmtree(dated.people / "Ben/2024")
    with dated.app(YEARS | {"folders.most_changes": 1}) as app:
        app.folder.sync()
        assert decided(app) == ["reject"]
        assert whose(app, "c.png") == [None]
        app.corrections.undo()
        app.folder.sync()
        assert set(dated.tree()) == BY_YEAR
        shutil.rmtree(dated.people / "Ben/2024")
        shutil.rmtree(dated.people / "Anna/2024")
        app.folder.sync()
        assert doubt(app) is Doubt.TOO_MANY
        assert whose(app, "c.png") == ["Ben"]
        app.folder.sync(is_repair=True)
    assert set(dated.tree()) == BY_YEAR


def test_a_folder_that_is_put_into_another_with_its_years_is_that_person(dated: Library) -> None:
    synced(dated, YEARS)
    (dated.people / "Anna").rename(dated.people / "Ben/Anna")
    with dated.app(YEARS) as app:
        app.folder.sync()
        assert decided(app) == ["merge"]
    assert set(shown(dated)) >= {"Ben/2023/a.png", "Ben/2024/b.png", "Ben/2024/c.png", "Ben/d.png"}
    assert not (dated.people / "Anna").exists()


# Suggestions ---------------------------------------------------------------------------------------------------------

REVIEW = {"folders.review": 5}


@pytest.fixture
def asked(place: Library) -> Library:
    """It is suggested that Anna is on g, where nobody is known, and on h, beside another whom nobody knows."""
    place.draw("h.png", (6, 0), (7, 0))
    place.scan()
    with place.app(REVIEW) as app:
        suggest(app, "g.png", 0, "Anna", 0.5)
        suggest(app, "h.png", 1, "Anna", 0.4)
        suggest(app, "h.png", 0, "Ben", 0.6)
        app.folder.sync()
        assert app.folder.plan().is_empty
        assert app.folder.outdated() == set()
    assert reviewed(place) == {"Anna/g.png", "Anna/h.png", "Ben/h.png"}
    return place


def suggest(app: App, photo: str, face: int, who: str, distance: float) -> None:
    face_id = app.lookup.photo(Path(photo))["faces"][face]["face_id"]
    match = Match(app.lookup.person(who).id, distance, distance, None, None, "too far", is_accepted=False)
    with app.catalog.write():
        app.catalog.assignments.suggest(face_id, match, app.catalog.now())


def reviewed(library: Library) -> set[str]:
    return {path.removeprefix("_review/") for path in standing(library) if path.startswith("_review/")}


def test_the_likeliest_suggestions_have_links_where_somebody_asks_for_them(asked: Library) -> None:
    assert {path for path in synced(asked, {"folders.review": 1}) if path.startswith("_review")} == {
        *("_review/Anna/h.png", "_review/Ben/h.png"),
    }
    with asked.app({"folders.review": 1}) as app:
        decide(app, lambda d: d.hide("Ben"))
    assert reviewed(asked) == {"Anna/h.png"}
    assert not [path for path in synced(asked, {}) if path.startswith("_review")]


@pytest.mark.parametrize("kind", ["symlink", "hardlink", "copy"])
def test_a_suggestion_is_answered_by_moving_it_or_by_deleting_it(asked: Library, kind: str) -> None:
    settings = REVIEW | {"folders.link": kind}
    synced(asked, settings)
    (asked.people / "_review/Anna/h.png").rename(asked.people / "Anna/h.png")
    (asked.people / "_review/Anna/g.png").unlink()
    with asked.app(settings) as app:
        preview = app.folder_reader.preview()
        assert {one.meaning for one in preview.reading.conclusions} == {Meaning.ASSIGNED, Meaning.REJECTED}
        app.folder.sync()
        assert sorted(decided(app)) == ["assign", "reject"]
        assert whose(app, "h.png") == [None, "Anna"], "the one that was suggested, and nobody else"
        assert whose(app, "g.png") == [None]
        assert app.catalog.rejections.of_person(app.lookup.person("Anna").id)
        assert app.folder.plan().is_empty
        app.folder.sync()
        assert sorted(decided(app)) == ["assign", "reject"]
        assert {path for path in standing(asked) if path.startswith("Anna/")} == {f"Anna/{name}.png" for name in "abh"}
        app.corrections.undo(2)
        assert whose(app, "h.png") == [None, None]
        assert not app.catalog.rejections.of_person(app.lookup.person("Anna").id)


def test_a_suggestion_that_is_moved_to_another_person_is_that_person(asked: Library) -> None:
    (asked.people / "_review/Anna/h.png").rename(asked.people / "Ben/h.png")
    with asked.app(REVIEW) as app:
        app.folder.sync()
        assert whose(app, "h.png") == [None, "Ben"]
    assert reviewed(asked) == {"Anna/g.png"}


def test_deleting_the_folder_of_suggestions_or_moving_them_in_it_says_nothing(asked: Library) -> None:
    before, folder = standing(asked), asked.people / "_review/Anna"

    def delete_folder() -> None:
        shutil.rmtree(folder)

    def delete_all() -> None:
        shutil.rmtree(folder.parent)

    def move_to_those_of_another() -> None:
        (folder / "g.png").rename(folder.parent / "Ben/g.png")

    def hide_as_programs_do_that_move() -> None:
        (folder / "g.png").rename(folder / ".g.png.tmp")

    def put_a_link_of_anna_there() -> None:
        (asked.people / "Anna/b.png").rename(folder / "b.png")

    for act in (delete_folder, delete_all, move_to_those_of_another, put_a_link_of_anna_there,
                hide_as_programs_do_that_move):  # fmt: skip
        act()
        assert standing(asked) != before
        put_right(asked, REVIEW, before)


def test_answers_wait_where_the_settings_say_to_ask(asked: Library) -> None:
    (asked.people / "_review/Anna/g.png").unlink()
    with asked.app(REVIEW | {"folders.edit": "ask"}) as app:
        app.folder.sync()
        assert decided(app) == []
        assert reviewed(asked) == {"Anna/h.png", "Ben/h.png"}, "it is not made again meanwhile"
        app.folder_reader.accept()
        assert decided(app) == ["reject"]


def test_more_answers_at_once_than_are_believed_say_nothing(asked: Library) -> None:
    for link in (asked.people / "_review/Anna").iterdir():
        link.unlink()
    with asked.app(REVIEW | {"folders.most_changes": 1}) as app:
        app.folder.sync()
        assert decided(app) == []
        assert doubt(app) is Doubt.TOO_MANY
