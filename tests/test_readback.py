"""What somebody did in the people folder is told by records and what stands there alone: values in, values out."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewatch.folders.model import FolderEntry, LinkKind
from facewatch.folders.observed import (
    Doubt,
    FolderCopied,
    FolderEmptied,
    FolderGone,
    FolderOnTheWay,
    FolderPutInto,
    FolderRenamed,
    FolderReplaced,
    LinkGone,
    LinkKept,
    LinkLost,
    LinkMoved,
    LinkOnTheWay,
    LinkOverwritten,
    LinkReplaced,
    Observation,
    PhotoDropped,
    ReadBack,
    Unknown,
)
from facewatch.folders.readback import FEW, FolderView, read_back, strange_paths
from facewatch.types import RecordedLink

Tree = dict[str, FolderEntry]
"""Every path of the people folder but itself."""

FILE = FolderEntry("file", inode=9, size=9, mtime_ns=9)
FOLDERS = {1: "Anna", 2: "Ben", 3: "_unnamed/Person 0003"}


def link_to(photo: int, folder: str) -> FolderEntry:
    return FolderEntry("symlink", target=f"{'../' * (folder.count('/') + 2)}Photos/{photo}.jpg")


class Place:
    """A people folder, and what is on record of it."""

    def __init__(self, photos: dict[int, set[int]]) -> None:
        """`photos`: who is on which."""
        self.tree: Tree = {folder: FolderEntry("dir") for folder in ("_unnamed", *FOLDERS.values())}
        self.links: list[RecordedLink] = []
        self.folders = dict(FOLDERS)
        self.own: frozenset[str] = frozenset()
        for person_id, mine in photos.items():
            for photo in sorted(mine):
                self._make(person_id, photo)

    def _make(self, person_id: int, photo: int) -> None:
        path = f"{FOLDERS[person_id]}/{photo}.jpg"
        entry = link_to(photo, FOLDERS[person_id])
        self.tree[path] = entry
        source = f"/Photos/{photo}.jpg"
        self.links.append(RecordedLink(len(self.links) + 1, person_id, photo, path, source, entry.stamp("symlink")))

    def move(self, old: str, new: str) -> None:
        for path in [path for path in self.tree if path == old or path.startswith(f"{old}/")]:
            self.tree[new + path.removeprefix(old)] = self.tree.pop(path)

    def delete(self, path: str) -> None:
        for gone in [other for other in self.tree if other == path or other.startswith(f"{path}/")]:
            del self.tree[gone]

    def view(self) -> FolderView:
        folders: dict[str, dict[str, FolderEntry]] = {"": {}}
        folders |= {path: {} for path, entry in self.tree.items() if entry.kind == "dir"}
        for path, entry in self.tree.items():
            folder, _, name = path.rpartition("/")
            folders[folder][name] = entry
        view = FolderView(folders, self.links, own=self.own)
        photos = {}
        for path in strange_paths(view):
            target = self.tree[path].target
            if target.startswith("/Photos/"):
                photos[path] = int(target.removeprefix("/Photos/").removesuffix(".jpg"))
        return dataclasses.replace(view, photos=photos)

    def read(self, most_changes: int = 200) -> ReadBack:
        return read_back(self.folders, self.view(), most_changes=most_changes)

    def seen(self) -> list[Observation]:
        return list(self.read().observations)

    def link(self, path: str) -> RecordedLink:
        return next(link for link in self.links if link.path == path)


def place() -> Place:
    return Place({1: {1, 2, 3}, 2: {1, 4}, 3: {5, 6}})


@pytest.fixture
def here() -> Place:
    return place()


def test_what_stands_as_it_was_made_says_nothing(here: Place) -> None:
    assert here.seen() == []


def test_a_deleted_link_is_gone(here: Place) -> None:
    here.delete("Anna/2.jpg")
    assert here.seen() == [LinkGone(here.link("Anna/2.jpg"))]


def test_a_link_in_the_folder_of_another_was_moved(here: Place) -> None:
    here.move("Anna/2.jpg", "Ben/2.jpg")
    link = here.link("Anna/2.jpg")
    assert here.seen() == [LinkMoved(link, "Ben/2.jpg", link.stamp, 2)]


def test_a_link_that_leads_nowhere_from_its_new_place_is_known_by_its_text(here: Place) -> None:
    here.move("_unnamed/Person 0003/5.jpg", "Anna/holiday.jpg")
    link = here.link("_unnamed/Person 0003/5.jpg")
    assert here.seen() == [LinkMoved(link, "Anna/holiday.jpg", link.stamp, 1)]


def test_a_link_with_another_name_in_its_folder_is_the_same(here: Place) -> None:
    here.move("Anna/2.jpg", "Anna/beach.jpg")
    link = here.link("Anna/2.jpg")
    assert here.seen() == [LinkKept(link, "Anna/beach.jpg", link.stamp)]


def test_a_link_in_a_folder_of_its_persons_folder_is_the_same(here: Place) -> None:
    here.tree["Anna/best"] = FolderEntry("dir")
    here.move("Anna/2.jpg", "Anna/best/2.jpg")
    link = here.link("Anna/2.jpg")
    assert here.seen() == [LinkKept(link, "Anna/best/2.jpg", link.stamp)]


def test_a_link_that_was_made_absolute_is_the_same(here: Place) -> None:
    here.tree["Anna/2.jpg"] = FolderEntry("symlink", target="/Photos/2.jpg")
    assert here.seen() == [LinkKept(here.link("Anna/2.jpg"), "Anna/2.jpg", "symlink:/Photos/2.jpg")]


def test_a_renamed_folder_is_known_by_its_links(here: Place) -> None:
    here.move("Anna", "Anne")
    assert here.seen() == [FolderRenamed(1, "Anna", "Anne")]


def test_a_renamed_folder_is_known_though_links_in_it_are_gone_or_renamed(here: Place) -> None:
    here.move("Anna", "Anne")
    here.delete("Anne/1.jpg")
    here.move("Anne/3.jpg", "Anne/x.jpg")
    third = here.link("Anna/3.jpg")
    assert here.seen() == [
        FolderRenamed(1, "Anna", "Anne"),
        LinkKept(third, "Anne/x.jpg", third.stamp),
        LinkGone(here.link("Anna/1.jpg")),
    ]


def test_two_people_who_are_on_the_same_photos_are_told_apart_by_what_is_still_there() -> None:
    here = Place({1: {1, 2}, 2: {1, 2}})
    here.move("Anna", "Anne")
    assert here.seen() == [FolderRenamed(1, "Anna", "Anne")]


def test_two_folders_that_have_each_others_names_are_renamed_also_with_photos_of_both(here: Place) -> None:
    here.move("Anna", "x")
    here.move("Ben", "Anna")
    here.move("x", "Ben")
    assert here.seen() == [FolderRenamed(1, "Anna", "Ben"), FolderRenamed(2, "Ben", "Anna")]


def test_links_that_were_moved_to_each_other_but_for_one_are_moved(here: Place) -> None:
    for photo in (2, 3):
        here.move(f"Anna/{photo}.jpg", f"Ben/{photo}.jpg")
    link = here.link("Anna/2.jpg")
    assert LinkMoved(link, "Ben/2.jpg", link.stamp, 2) in here.seen()


def test_a_folder_in_that_of_another_was_put_into_it(here: Place) -> None:
    here.move("Anna", "Ben/Anna")
    assert here.seen() == [FolderPutInto(1, "Anna", "Ben/Anna", 2)]


def test_a_folder_whose_links_are_all_with_another_was_put_into_that(here: Place) -> None:
    here.move("_unnamed/Person 0003/5.jpg", "Anna/5.jpg")
    here.move("_unnamed/Person 0003/6.jpg", "Anna/6.jpg")
    here.delete("_unnamed/Person 0003")
    [one] = here.seen()
    assert isinstance(one, FolderPutInto)
    assert (one.person_id, one.new, one.into) == (3, None, 1)
    assert [moved.path for moved in one.moved] == ["Anna/5.jpg", "Anna/6.jpg"]


def test_what_was_moved_out_of_a_folder_that_is_gone_was_moved(here: Place) -> None:
    here.move("Anna/2.jpg", "Ben/2.jpg")
    here.delete("Anna")
    moved, gone = here.seen()
    assert isinstance(moved, LinkMoved)
    assert gone == FolderGone(1, "Anna", (here.link("Anna/1.jpg"), here.link("Anna/3.jpg")))


def test_a_folder_in_a_group_that_somebody_made_is_still_that_persons(here: Place) -> None:
    here.tree["Family"] = FolderEntry("dir")
    here.move("Anna", "Family/Anna")
    assert here.seen() == [FolderRenamed(1, "Anna", "Family/Anna")]


def test_a_new_folder_receives_what_was_moved_and_what_was_dropped(here: Place) -> None:
    here.tree["Clara"] = FolderEntry("dir")
    here.move("Anna/2.jpg", "Clara/2.jpg")
    here.tree["Clara/new.jpg"] = FolderEntry("symlink", target="/Photos/7.jpg")
    link = here.link("Anna/2.jpg")
    assert here.seen() == [
        LinkMoved(link, "Clara/2.jpg", link.stamp, "Clara"),
        PhotoDropped("Clara/new.jpg", 7, "symlink:/Photos/7.jpg", "Clara"),
    ]


def test_a_copy_of_a_folder_means_nothing_until_the_old_one_is_gone(here: Place) -> None:
    here.tree["Eva"] = FolderEntry("dir")
    for photo in (1, 2, 3):
        here.tree[f"Eva/{photo}.jpg"] = here.tree[f"Anna/{photo}.jpg"]
    assert here.seen() == [FolderCopied(1, "Anna", "Eva")]
    for photo in (1, 2, 3):
        here.delete(f"Anna/{photo}.jpg")
    here.delete("Anna")
    assert here.seen() == [FolderRenamed(1, "Anna", "Eva")]


def test_a_folder_that_was_emptied_says_nothing_of_its_links(here: Place) -> None:
    mine = [here.link(f"Anna/{photo}.jpg") for photo in (1, 2, 3)]
    for link in mine:
        here.delete(link.path)
    assert here.seen() == [FolderEmptied(1, "Anna", tuple(mine))]
    here.tree["Empty"] = FolderEntry("dir")
    assert here.seen() == [FolderEmptied(1, "Anna", tuple(mine))]


def test_the_rest_of_links_that_were_moved_is_deleted(here: Place) -> None:
    here.move("Anna/3.jpg", "Ben/3.jpg")
    for photo in (1, 2):
        here.delete(f"Anna/{photo}.jpg")
    assert [type(one) for one in here.seen()] == [LinkMoved, LinkGone, LinkGone]


def test_the_only_link_of_somebody_is_gone_when_it_is_deleted() -> None:
    here = Place({1: {1}, 2: {2, 3}})
    here.delete("Anna/1.jpg")
    assert here.seen() == [LinkGone(here.link("Anna/1.jpg"))]


@pytest.mark.parametrize(
    "name", [".DS_Store", "Thumbs.db", "desktop.ini", ".directory", ".syncthing.2.jpg.tmp", "Icon\r"]
)
def test_what_programs_leave_means_nothing(here: Place, name: str) -> None:
    for folder in ("Anna", "_unnamed/Person 0003"):
        here.tree[f"{folder}/{name}"] = FILE
    here.tree[name] = FILE
    assert here.seen() == []


def test_a_second_link_of_somebody_to_the_same_photo_means_nothing(here: Place) -> None:
    here.tree["Anna/2 (copy).jpg"] = here.tree["Anna/2.jpg"]
    assert here.seen() == []


def test_a_copied_link_is_dropped_where_it_lies(here: Place) -> None:
    here.tree["Ben/2.jpg"] = here.tree["Anna/2.jpg"]
    assert here.seen() == [PhotoDropped("Ben/2.jpg", 2, here.link("Anna/2.jpg").stamp, 2)]


def test_a_link_to_somewhere_else_is_unknown(here: Place) -> None:
    here.tree["Ben/x.jpg"] = FolderEntry("symlink", target="/elsewhere/x.jpg")
    here.tree["Ben/y.jpg"] = FILE
    assert here.seen() == [Unknown("Ben/x.jpg"), Unknown("Ben/y.jpg")]


def test_what_lies_directly_in_the_people_folder_has_left_its_person(here: Place) -> None:
    here.move("Anna/2.jpg", "2.jpg")
    assert here.seen() == [LinkGone(here.link("Anna/2.jpg"))]


def test_of_two_missing_links_to_a_photo_the_name_says_which_was_moved(here: Place) -> None:
    here.move("Anna/1.jpg", "Anna/a.jpg")
    here.links[0] = dataclasses.replace(here.links[0], path="Anna/a.jpg")
    here.tree["Clara"] = FolderEntry("dir")
    here.move("Anna/a.jpg", "Clara/a.jpg")
    here.delete("Ben/1.jpg")
    moved, gone = here.seen()
    assert isinstance(moved, LinkMoved)
    assert moved.link.path == "Anna/a.jpg"
    assert gone == LinkGone(here.link("Ben/1.jpg"))


def test_of_two_missing_links_that_look_alike_nobody_knows_which_was_moved(here: Place) -> None:
    here.tree["Clara"] = FolderEntry("dir")
    here.move("Anna/1.jpg", "Clara/1.jpg")
    here.delete("Ben/1.jpg")
    assert [type(one) for one in here.seen()] == [LinkGone, LinkGone, PhotoDropped]


@pytest.mark.parametrize("kind", ["copy", "reflink"])
def test_a_copy_is_known_by_its_size_and_time_and_if_it_was_touched_by_its_content(here: Place, kind: LinkKind) -> None:
    here.tree["Anna/2.jpg"] = old = FolderEntry("file", size=7, mtime_ns=5)
    link = dataclasses.replace(here.link("Anna/2.jpg"), stamp=old.stamp(kind))
    here.links = [link, *(one for one in here.links if one.link_id != link.link_id)]
    assert here.seen() == []
    here.move("Anna/2.jpg", "Ben/other.jpg")
    assert here.seen() == [LinkMoved(link, "Ben/other.jpg", link.stamp, 2)]
    here.move("Ben/other.jpg", "Anna/2.jpg")
    touched = here.tree["Anna/2.jpg"] = FolderEntry("file", size=7, mtime_ns=5_000_000_000)
    view = dataclasses.replace(here.view(), photos={"Anna/2.jpg": 2})
    seen = read_back(here.folders, view, most_changes=200)
    assert seen.observations == (LinkKept(link, "Anna/2.jpg", touched.stamp(kind)),)


def test_a_file_where_a_link_stood_is_an_edited_copy(here: Place) -> None:
    here.tree["Anna/2.jpg"] = FILE
    assert here.seen() == [LinkReplaced(here.link("Anna/2.jpg"))]


@pytest.mark.parametrize("is_copy", [False, True])
def test_a_link_that_is_moved_over_another_is_moved_and_the_other_overwritten(here: Place, is_copy: bool) -> None:
    if is_copy:
        for n, link in enumerate(here.links):
            entry = here.tree[link.path] = FolderEntry("file", size=7 + n, mtime_ns=5)
            here.links[n] = dataclasses.replace(link, stamp=entry.stamp("copy"))
    moved, other = here.link("Anna/2.jpg"), here.link("Ben/4.jpg")
    here.move("Anna/2.jpg", "Ben/4.jpg")
    assert here.seen() == [LinkMoved(moved, "Ben/4.jpg", moved.stamp, 2), LinkOverwritten(other)]
    here.move("Ben/4.jpg", "Ben/1.jpg")
    assert here.seen() == [
        LinkMoved(moved, "Ben/1.jpg", moved.stamp, 2), LinkOverwritten(here.link("Ben/1.jpg")), LinkGone(other)
    ]  # fmt: skip


def test_nothing_where_a_link_stood_is_a_lost_link(here: Place) -> None:
    here.tree["Anna/2.jpg"] = FolderEntry("file", inode=9, size=0, mtime_ns=5)
    view = dataclasses.replace(here.view(), leftovers=frozenset({"Anna/2.jpg"}))
    seen = read_back(here.folders, view, most_changes=200)
    assert seen.observations == (LinkLost(here.link("Anna/2.jpg"), "copy:0:5"),)


def test_a_link_with_a_hidden_name_is_on_the_way(here: Place) -> None:
    here.move("Anna/2.jpg", "Ben/.syncthing.2.jpg.tmp")
    assert here.seen() == [LinkOnTheWay(here.link("Anna/2.jpg"))]


def test_what_was_there_before_means_nothing(here: Place) -> None:
    here.tree["Wedding"] = FolderEntry("dir")
    here.tree["Wedding/7.jpg"] = FolderEntry("symlink", target="/Photos/7.jpg")
    here.own = frozenset({"Wedding", "Wedding/7.jpg"})
    assert here.seen() == []
    here.tree["Wedding/8.jpg"] = FolderEntry("symlink", target="/Photos/8.jpg")
    assert here.seen() == []


# Whether to believe it


def many(n_photos: int) -> Place:
    return Place({1: set(range(n_photos)), 2: set(range(n_photos, 2 * n_photos))})


@pytest.mark.parametrize(("n_photos", "n_believed"), [(10, FEW), (150, 30), (1500, 200)])
def test_more_changes_than_somebody_makes_by_hand_are_not_believed(n_photos: int, n_believed: int) -> None:
    here = many(n_photos)
    for link in here.links[: min(n_believed, len(here.links) - 1)]:
        here.delete(link.path)
    assert here.read().doubt is None
    here = many(n_photos + 5)
    for link in here.links[: n_believed + 3]:
        here.delete(link.path)
    assert here.read().doubt is Doubt.TOO_MANY
    assert here.read(most_changes=1).doubt is Doubt.TOO_MANY


def test_a_folder_is_one_change_however_many_links_are_in_it() -> None:
    here = many(1500)
    here.move("Anna", "Anne")
    here.delete("Ben")
    assert (here.read().n_changes, here.read().doubt) == (2, None)


def test_folders_that_are_all_gone_are_not_believed(here: Place) -> None:
    for folder in here.folders.values():
        here.delete(folder)
    assert here.read().doubt is Doubt.ALL_GONE


# Laws

Action = Callable[[Place, random.Random], None]


def _some_link(here: Place, rng: random.Random) -> str | None:
    paths = sorted(path for path, entry in here.tree.items() if entry.kind == "symlink")
    return rng.choice(paths) if paths else None


def _some_folder(here: Place, rng: random.Random) -> str | None:
    paths = sorted(path for path, entry in here.tree.items() if entry.kind == "dir" and path != "_unnamed")
    return rng.choice(paths) if paths else None


def _act(here: Place, rng: random.Random) -> None:
    link, folder, other = _some_link(here, rng), _some_folder(here, rng), _some_folder(here, rng)
    new = f"{rng.choice(['Clara', 'Dora', '_unnamed/x', 'Anna/best'])}{rng.randrange(3)}"
    match rng.randrange(9):
        case 0 if link:
            here.delete(link)
        case 1 if folder:
            here.delete(folder)
        case 2 if link and folder:
            here.move(link, f"{folder}/{link.rpartition('/')[2]}")
        case 3 if link:
            here.move(link, f"{link.rpartition('/')[0]}/{rng.randrange(9)}{rng.choice(['', '.'])}.jpg")
        case 4 if folder and new not in here.tree and new.rpartition("/")[0] in {"", *here.tree}:
            here.move(folder, new) if not f"{new}/".startswith(f"{folder}/") else None
        case 5 if folder and other and not f"{other}/".startswith(f"{folder}/"):
            here.move(folder, f"{other}/{folder.rpartition('/')[2]}")
        case 6 if link and folder:
            here.tree[f"{folder}/copy of {link.rpartition('/')[2]}"] = here.tree[link]
        case 7 if new.rpartition("/")[0] in {"", *here.tree}:
            here.tree.setdefault(new, FolderEntry("dir"))
        case 8 if link:
            here.tree[link] = FILE


places = st.builds(
    lambda one, two, three: Place({1: one, 2: two, 3: three}),
    *(st.sets(st.integers(1, 8), max_size=6) for _ in range(3)),
)


def _links_in(one: Observation) -> list[RecordedLink]:
    match one:
        case FolderGone(links=links) | FolderEmptied(links=links):
            return list(links)
        case FolderPutInto(moved=moved):
            return [other.link for other in moved]
        case LinkGone() | LinkMoved() | LinkKept() | LinkLost() | LinkReplaced() | LinkOverwritten():
            return [one.link]
        case LinkOnTheWay():
            return [one.link]
    return []


@given(place=places, seed=st.integers(0, 2**32), n=st.integers(0, 8))
def test_each_link_is_explained_once_at_most_and_what_is_intact_never(place: Place, seed: int, n: int) -> None:
    rng = random.Random(seed)
    for _ in range(n):
        _act(place, rng)
    seen = place.read()
    told = Counter(link.path for one in seen.observations for link in _links_in(one))
    assert set(told.values()) <= {1}
    moved = {
        one.old: one.new for one in seen.observations if isinstance(one, FolderRenamed | FolderPutInto) and one.new
    }
    for link in place.links:
        folder, _, name = link.path.rpartition("/")
        entry = place.tree.get(f"{moved.get(folder, folder)}/{name}")
        is_intact = entry is not None and entry.bears(link.stamp)
        assert is_intact or told[link.path] == 1
        assert not (is_intact and told[link.path]) or folder not in place.tree


@given(place=places, seed=st.integers(0, 2**32), n=st.integers(0, 8))
def test_what_is_seen_does_not_depend_on_the_order_of_records_and_entries(place: Place, seed: int, n: int) -> None:
    rng = random.Random(seed)
    for _ in range(n):
        _act(place, rng)
    before = place.read()
    tree = list(place.tree.items())
    rng.shuffle(tree)
    rng.shuffle(place.links)
    place.tree = dict(tree)
    assert place.read() == before


@given(place=places, seed=st.integers(0, 2**32), n=st.integers(0, 6))
def test_bystanders_change_nothing(place: Place, seed: int, n: int) -> None:
    rng = random.Random(seed)
    for _ in range(n):
        _act(place, rng)
    before = place.read()
    for folder in [path for path, entry in place.tree.items() if entry.kind == "dir"]:
        place.tree[f"{folder}/.DS_Store"] = place.tree[f"{folder}/Thumbs.db"] = FILE
    assert place.read() == before


def test_a_copy_of_a_folder_that_has_photos_for_links_is_a_copy_and_then_the_folder(here: Place) -> None:
    """As file managers copy, and programs that know no links."""
    here.tree["Eva"] = FolderEntry("dir")
    photos = {f"Eva/{photo}.jpg": photo for photo in (1, 2, 3)}
    here.tree |= {path: FolderEntry("file", inode=20 + photo, size=7) for path, photo in photos.items()}
    view = dataclasses.replace(here.view(), photos=photos)
    seen = read_back(here.folders, view, most_changes=200)
    assert seen.observations == (FolderCopied(1, "Anna", "Eva"),)
    here.delete("Anna")
    view = dataclasses.replace(here.view(), photos=photos)
    seen = read_back(here.folders, view, most_changes=200)
    assert seen.observations[0] == FolderRenamed(1, "Anna", "Eva")
    assert {type(one) for one in seen.observations[1:]} == {LinkReplaced}


@pytest.mark.parametrize("entry", [FolderEntry("symlink", target="/mnt/Anna"), FILE, FolderEntry("other")])
@pytest.mark.parametrize("folder", ["Anna", "_unnamed"])
def test_what_stands_in_the_place_of_a_folder_says_nothing(here: Place, folder: str, entry: FolderEntry) -> None:
    here.delete(folder)
    here.tree[folder] = entry
    [one] = here.seen()
    assert isinstance(one, FolderReplaced)
    assert (one.person_id, here.read().n_changes) == ({"Anna": 1, "_unnamed": 3}[folder], 0)


def test_a_folder_with_a_dot_before_its_name_is_gone_and_with_any_other_hidden_name_on_the_way(here: Place) -> None:
    links = {"Anna": {path.partition("/")[2]: e for path, e in here.tree.items() if path.startswith("Anna/")}}
    here.delete("Anna")
    view = dataclasses.replace(here.view(), hidden={".Anna": links["Anna"]})
    [one] = read_back(here.folders, view, most_changes=200).observations
    assert isinstance(one, FolderGone)
    assert (one.person_id, one.hidden) == (1, ".Anna")
    view = dataclasses.replace(here.view(), hidden={".unison.Anne.unison.tmp": links["Anna"]})
    seen = read_back(here.folders, view, most_changes=200)
    assert (seen.observations, seen.n_changes) == ((FolderOnTheWay(1, ".unison.Anne.unison.tmp"),), 0)


def test_folders_of_which_each_has_the_name_of_the_next_are_renamed(here: Place) -> None:
    here.move("Anna", "Zoe")
    here.move("_unnamed/Person 0003", "Anna")
    assert here.seen() == [FolderRenamed(1, "Anna", "Zoe"), FolderRenamed(3, "_unnamed/Person 0003", "Anna")]


def test_folders_that_have_each_others_names_are_known_though_something_else_was_done_in_them() -> None:
    here = Place({1: {1, 2, 3, 7}, 2: {1, 4, 8, 9}})
    here.move("Anna", "x")
    here.move("Ben", "Anna")
    here.move("x", "Ben")
    here.move("Ben/2.jpg", "Ben/beach.jpg")
    here.delete("Anna/8.jpg")
    second, eighth = here.link("Anna/2.jpg"), here.link("Ben/8.jpg")
    assert here.seen() == [
        FolderRenamed(1, "Anna", "Ben"),
        FolderRenamed(2, "Ben", "Anna"),
        LinkKept(second, "Ben/beach.jpg", second.stamp),
        LinkGone(eighth),
    ]


def test_most_links_of_somebody_in_a_new_folder_are_somebody_new(here: Place) -> None:
    here.tree["Zoe"] = FolderEntry("dir")
    for photo in (2, 3):
        here.move(f"Anna/{photo}.jpg", f"Zoe/{photo}.jpg")
    assert {type(one) for one in here.seen()} == {LinkMoved}
