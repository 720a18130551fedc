"""Whatever is done in the people folder and by commands, in any order, with and without a watcher: the catalog says
what that means, and undoing it brings the folder back."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from drawn import Library
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_loop import FakeSource, Turns

from facewatch.folders.marks import FACE_KEY, key_of
from facewatch.folders.model import TOGETHER, home_of
from facewatch.watcher.events import Events
from facewatch.watcher.people import STILL_SECONDS

NAMES = ("Zoe", "Yan", "Xenia")
NUMBER = st.integers(0, 7)
NAME = st.sampled_from(NAMES)
IN_THE_FOLDER = st.one_of(
    st.tuples(st.just("rename_folder"), NUMBER, NAME),
    st.tuples(st.just("delete_link"), NUMBER, NUMBER),
    st.tuples(st.just("move_link"), NUMBER, NUMBER, NUMBER),
    st.tuples(st.just("move_over"), NUMBER, NUMBER, NUMBER, NUMBER),
    st.tuples(st.just("delete_folder"), NUMBER),
    st.tuples(st.just("put_into"), NUMBER, NUMBER),
    st.tuples(st.just("new_folder"), NAME, NUMBER, NUMBER),
    st.tuples(st.just("rename_link"), NUMBER, NUMBER),
    st.tuples(st.just("leave_note"), NUMBER),
    st.tuples(st.just("meddle"), NUMBER, NUMBER),
)
BY_COMMAND = st.one_of(
    st.tuples(st.just("rename"), NUMBER, NAME),
    st.tuples(st.just("hide"), NUMBER),
    st.tuples(st.just("reject"), NUMBER, NUMBER),
)
ACTIONS = st.lists(st.one_of(IN_THE_FOLDER, IN_THE_FOLDER, BY_COMMAND), min_size=1, max_size=6)

Tree = dict[str, set[str]]
"""The photos in each folder."""


class Meant:
    """What must be so, by all that was done."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.hidden: set[int] = set()
        self.whose: dict[int, int] = {}
        """Face -> person."""
        self.not_theirs: set[tuple[int, int]] = set()
        self.newcomers: dict[int, str] = {}
        """Face -> name of who was made for it by the last step."""

    def is_(self, face: int, person: int) -> None:
        self.not_theirs.discard((face, person))
        self.whose[face] = person

    def is_not(self, face: int, person: int) -> None:
        self.not_theirs.add((face, person))
        if self.whose.get(face) == person:
            del self.whose[face]

    def join(self, person: int, into: int) -> None:
        self.whose = {face: into if one == person else one for face, one in self.whose.items()}
        self.not_theirs = {(face, one) for face, one in self.not_theirs if one not in (person, into)}
        self.names.pop(person, None)
        self.hidden.discard(person)


class Edited:
    """A library whose people folder is edited."""

    def __init__(self, turns: Turns) -> None:
        self.turns, self.app, self.root = turns, turns.app, turns.library.people
        self.source = FakeSource()
        turns.loop.people.source = self.source  # type: ignore[assignment]
        self.is_watched = False
        self.meant = Meant()

    # --- what stands there ---

    def tree(self) -> Tree:
        found: Tree = {}
        for path in self.root.rglob("*"):
            link = str(path.relative_to(self.root))
            if (photo := self.photo_at(path)) and not link.startswith(f"{TOGETHER}/"):
                found.setdefault(home_of(link), set()).add(photo)
        return found

    def photo_at(self, path: Path) -> str:
        """Return the photo that a link leads to, or that the face on a picture is on; "": it is neither."""
        if path.is_symlink():
            return str(path.resolve().relative_to(self.turns.library.photos.resolve()))
        key = (key_of(path.read_bytes()) or "") if path.is_file() else ""
        if not key.startswith(FACE_KEY):
            return ""  # a cover stands for none
        shown = self.app.catalog.pictures.of_faces([int(key.removeprefix(FACE_KEY))])
        return shown[0].files[0].path if shown else key

    def folder(self, number: int) -> Path | None:
        folders = sorted(self.tree())
        return self.root / folders[number % len(folders)] if folders else None

    def link(self, folder: Path | None, number: int) -> Path | None:
        links = sorted(filter(self.photo_at, folder.rglob("*"))) if folder else []
        return links[number % len(links)] if links else None

    def person(self, folder: Path) -> int:
        """Return whose links are in a folder; it need not be on record as theirs, where somebody's own is in it."""
        path = str(folder.relative_to(self.root))
        return next(row.person_id for row in self.app.catalog.links.all() if home_of(row.path) == path)

    def faces(self, person: int, link: Path) -> list[int]:
        rows = self.app.lookup.photo(self.turns.library.photos / self.photo_at(link))["faces"]
        return [row["face_id"] for row in rows if row["person_id"] == person]

    def is_on(self, person: int, link: Path) -> bool:
        return bool(self.faces(person, link))

    @property
    def n_standing(self) -> int:
        return sum(1 for entry in self.app.catalog.journal.entries() if entry.action != "undo" and not entry.undone_by)

    # --- what is done ---

    def do(self, action: tuple[Any, ...]) -> None:
        name, *arguments = action
        getattr(self, f"_{name}")(*arguments)
        if self.is_watched:
            self.source.heard.append(Events(is_overflown=True, folders=frozenset({""})))
            self.turns.after(STILL_SECONDS)
        else:
            self.app.folder.sync()

    def _rename_folder(self, number: int, name: str) -> None:
        if (folder := self.folder(number)) and not (self.root / name).exists() and self._is_free(name):
            self.meant.names[self.person(folder)] = name
            folder.rename(self.root / name)

    def _is_free(self, name: str) -> bool:
        return name not in self.app.catalog.people.names().values()

    def _delete_link(self, number: int, at: int) -> None:
        if (folder := self.folder(number)) and (link := self.link(folder, at)):
            for face in self.faces(person := self.person(folder), link):
                self.meant.is_not(face, person)
            link.unlink()

    def _move_link(self, number: int, at: int, to: int) -> None:
        folder, other = self.folder(number), self.folder(to)
        link = self.link(folder, at)
        if folder and other and link and not os.path.lexists(other / link.name):
            self._give(folder, link, other, other / link.name)

    def _move_over(self, number: int, at: int, to: int, over: int) -> None:
        """Put a link in the place of another one: that means nothing for the other one."""
        folder, other = self.folder(number), self.folder(to)
        link, there = self.link(folder, at), self.link(other, over)
        if folder and other and link and there:
            self._give(folder, link, other, there)

    def _give(self, folder: Path, link: Path, other: Path, place: Path) -> None:
        person, receiver = self.person(folder), self.person(other)
        if folder != other and not self.is_on(receiver, link):
            for face in self.faces(person, link):
                self.meant.is_(face, receiver)
            link.replace(place)

    def _delete_folder(self, number: int) -> None:
        if folder := self.folder(number):
            self.meant.hidden.add(self.person(folder))
            shutil.rmtree(folder)

    def _put_into(self, number: int, into: int) -> None:
        folder, other = self.folder(number), self.folder(into)
        # What is left there of a folder that had somebody's own file in it: a file manager would ask.
        if folder and other and folder != other and not (other / folder.name).exists():
            self.meant.join(self.person(folder), self.person(other))
            folder.rename(other / folder.name)

    def _new_folder(self, name: str, number: int, at: int) -> None:
        folder = self.folder(number)
        link = self.link(folder, at)
        if folder and link and not (self.root / name).exists() and self._is_free(name):
            self.meant.newcomers = dict.fromkeys(self.faces(self.person(folder), link), name)
            self.meant.whose = {face: one for face, one in self.meant.whose.items() if face not in self.meant.newcomers}
            (self.root / name).mkdir()
            link.rename(self.root / name / link.name)

    def _rename_link(self, number: int, at: int) -> None:
        if link := self.link(self.folder(number), at):
            link.rename(link.with_name(f"x{link.name[-30:]}"))

    def _leave_note(self, number: int) -> None:
        if folder := self.folder(number):
            (folder / "notes.txt").write_text("mine")

    def _meddle(self, number: int, how: int) -> None:
        """Do something where nothing means anything."""
        links = sorted(filter(self.photo_at, (self.root / TOGETHER).rglob("*")))
        if not links:
            return
        link = links[number % len(links)]
        match how % 4:
            case 0:
                link.unlink()
            case 1:
                link.rename(link.with_name(f"x{link.name[-30:]}"))
            case 2:
                link.parent.rename(link.parent.with_name("Strange"))
            case 3:
                shutil.rmtree(self.root / TOGETHER)

    def _rename(self, number: int, name: str) -> None:
        if (folder := self.folder(number)) and self._is_free(name):
            self.app.corrections.rename(f"p{(person := self.person(folder))}", name)
            self.meant.names[person] = name

    def _hide(self, number: int) -> None:
        if folder := self.folder(number):
            with self.app.corrections.deciding() as decisions:
                decisions.hide(f"p{(person := self.person(folder))}")
            self.meant.hidden.add(person)

    def _reject(self, number: int, at: int) -> None:
        folder = self.folder(number)
        if folder and (link := self.link(folder, at)):
            person = self.person(folder)
            for face in self.faces(person, link):
                with self.app.corrections.deciding() as decisions:
                    decisions.reject([f"f{face}"], f"p{person}")
                self.meant.is_not(face, person)

    # --- what must be so ---

    def check(self) -> None:
        catalog, meant = self.app.catalog, self.meant
        people = {one.id: one for one in catalog.tiles.living()}
        for person, name in meant.names.items():
            assert people[person].name == name
        assert {person for person in meant.hidden if not people[person].is_hidden} == set()
        owners = catalog.faces.owners(self.app.engine.id)
        assert {face: owners.get(face) for face in meant.whose} == meant.whose
        newcomers, meant.newcomers = meant.newcomers, {}
        assert {face: people[owners[face]].name for face in newcomers} == newcomers
        assert {(face, person) for face, person in meant.not_theirs if owners.get(face) == person} == set()
        assert self.app.folder.plan().actions == ()

    def undo_all(self, trees: dict[int, Tree], n_before: int) -> None:
        """Take back what was done since, the newest first; each time the folder is what it was."""
        while (n := self.n_standing) > n_before:
            self.app.corrections.undo()
            assert self.n_standing < n
            if self.n_standing in trees:
                assert self.tree() == trees[self.n_standing]


SHAPED = {"folders.layout": "person/year", "folders.names": "date", "folders.together": ["Anna & Ben", "Anna & Zoe"]}
TAKEN = {"a": "2023-05-03T14:22:10", "b": "2024-01-02T03:04:05", "c": "2024-12-31T23:59:59", "e": "2023-07-08T09:10:11"}
FACES = {"folders.show": "faces", "folders.cover": "folder.jpg"}


@pytest.fixture(
    params=[{}, SHAPED, SHAPED | FACES],
    ids=["as it is by itself", "of another shape", "of another shape, with faces and covers"],
)
def edited(family: Library, request: pytest.FixtureRequest) -> Iterator[Edited]:
    with family.app() as app, app.catalog.write():
        app.catalog.photos.set_taken(
            {app.lookup.photo_id(family.photos / f"{name}.png"): at for name, at in TAKEN.items()}
        )
    turns = Turns(family, **request.param)
    with turns.app:
        turns.after(0.1)
        yield Edited(turns)


def test_what_is_done_in_the_folder_means_what_it_says_and_is_undone(
    edited: Edited, request: pytest.FixtureRequest
) -> None:
    photos = list(edited.turns.library.photos.rglob("*.png"))
    originals = [hashlib.sha256(path.read_bytes()).digest() for path in photos]
    n_before = edited.n_standing

    @settings(
        max_examples=request.config.getoption("--rule-examples") // 4,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.booleans(), ACTIONS)
    def law(is_watched: bool, actions: list[tuple[Any, ...]]) -> None:
        edited.meant, edited.is_watched = Meant(), is_watched
        trees = {n_before: edited.tree()}
        try:
            for action in actions:
                edited.do(action)
                edited.check()
                trees[edited.n_standing] = edited.tree()
        finally:
            for note in edited.root.rglob("notes.txt"):
                note.unlink()
            edited.undo_all(trees, n_before)
        assert edited.tree() == trees[n_before]

    law()
    assert [hashlib.sha256(path.read_bytes()).digest() for path in photos] == originals
