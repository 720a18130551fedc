"""What holds in every catalog: each rule is seen when it is broken, and nothing that users and runs do breaks one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rules import new_world
from test_catalog import add_photo
from test_rules import COMINGS_AND_GOINGS, DECISIONS, RUNS, UNDOING, Action, Ruled

from facewatch.catalog import Catalog
from facewatch.catalog.integrity import _RULES

NOW = "2026-01-02T03:04:05Z"


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """Two photos with two faces each (1 and 2, 3 and 4) and four people; Anna (1) has faces 1 and 3."""
    with Catalog(tmp_path / "catalog.sqlite", now=lambda: NOW) as catalog:
        add_photo(catalog, "a.png", 1, 2)
        add_photo(catalog, "b.png", 1, 2)
        with catalog.write():
            people = [catalog.people.add(NOW) for _ in range(4)]
            for person_id, name in zip(people, ("Anna", "Ben", None, None), strict=True):
                catalog.people.rename(person_id, name)
            for face_id in (1, 3):
                catalog.assignments.assign_by_user(face_id, people[0], rule="placed by you", now=NOW)
            catalog.links.set_folder(people[0], "Anna")
            catalog.links.add(people[0], 1, "Anna/a.png", Path("/photos/a.png"), "symlink:a")
            catalog.engines.use(1)
        yield catalog


def test_an_intact_catalog_has_no_faults(catalog: Catalog) -> None:
    assert catalog.faults() == []


_ASSIGN = "INSERT INTO assignments (face_id, person_id, source, rule, at) VALUES"
_GUESS = "INSERT INTO suggestions (face_id, person_id, distance, centroid_distance, rule, at) VALUES"

BREAKS = {
    "a face belongs to somebody who is a person no longer": "UPDATE people SET is_gone = 1 WHERE id = 1",
    "a face belongs to somebody though a user took it out": "INSERT INTO marks VALUES (1, 'not_a_face', '')",
    "a face belongs to whom it is not, as a user said": "INSERT INTO rejections VALUES (1, 1, '')",
    "a run assigned a face to somebody who is in the photo already": f"{_ASSIGN} (2, 1, 'auto', '', '')",
    "a guess about a face that belongs to somebody": f"{_GUESS} (1, 2, 0.5, 0.5, '', '')",
    "a guess about a face that a user took out": (
        f"INSERT INTO marks VALUES (2, 'nobody', ''); {_GUESS} (2, 2, 0.5, 0.5, '', '')"
    ),
    "a guess that a user rejected": f"INSERT INTO rejections VALUES (2, 2, ''); {_GUESS} (2, 2, 0.5, 0.5, '', '')",
    "a guess that is a person no longer": (
        f"UPDATE people SET merged_into = 2 WHERE id = 3; {_GUESS} (2, 3, 0.5, 0.5, '', '')"
    ),
    "a face stands for somebody to whom it does not belong": "UPDATE people SET cover_id = 1 WHERE id = 2",
    "two people have one folder": "UPDATE people SET folder = 'Anna' WHERE id = 2",
    "a pair of people apart is not in order": (
        "PRAGMA ignore_check_constraints = ON; INSERT INTO apart VALUES (2, 1, '')"
    ),
    "an analysis does not have as many embeddings as faces": "DELETE FROM embeddings WHERE face_id = 2",
    "an embedding is not as long as its engine's are": "UPDATE embeddings SET vector = x'00' WHERE face_id = 2",
    "an embedding is of a photo that its engine has not analysed": "DELETE FROM analyses WHERE photo_id = 2",
    "several engines are in use": (
        "INSERT INTO engines (name, fingerprint, n_dims, licence, added_at, is_in_use) VALUES ('o', 'o', 4, '', '', 1)"
    ),
    "the library has no id": "DELETE FROM settings WHERE key = 'library_id'",
    "row(s) of files name a row of photos that is not there": "UPDATE files SET photo_id = 99 WHERE id = 1",
    "row(s) of links name a row of people that is not there": "UPDATE links SET person_id = 99",
    "row(s) of links name a row of photos that is not there": "UPDATE links SET photo_id = 99",
    "row(s) of journal name a row of journal that is not there": (
        "INSERT INTO journal (at, actor, action, details, undo, parent_id) VALUES ('', 'user', 'x', '{}', '{}', 77)"
    ),
    "two people have one name: anna": ("DROP INDEX people_name; UPDATE people SET name = 'ANNA' WHERE id = 2"),
    "people were merged in a circle: 2, 3": (
        "UPDATE people SET merged_into = 3 WHERE id = 2; UPDATE people SET merged_into = 2 WHERE id = 3"
    ),
    "somebody who is a person no longer is in a photo without a face": (
        "INSERT INTO people (id, is_gone, created_at) VALUES (90, 1, ''); INSERT INTO presences VALUES (90, 1, '')"
    ),
    "a face is shown though its box was taken back": "UPDATE faces SET is_drawn = 1 WHERE id = 2",
    "a box that was drawn is on another photo than its face": (
        "INSERT INTO drawn (photo_id, x, y, w, h, face_id, at) SELECT 99, 1, 1, 20, 20, id, '' FROM faces WHERE id = 2;"
        " UPDATE faces SET is_drawn = 1 WHERE id = 2"
    ),
    "damaged: ": "PRAGMA ignore_check_constraints = ON; UPDATE faces SET tier = 'best' WHERE id = 1",
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_rule_that_is_broken_is_named(catalog: Catalog, name: str) -> None:
    db = sqlite3.connect(catalog.path)
    db.executescript(f"PRAGMA foreign_keys = OFF; {BREAKS[name]}")
    db.close()
    if name == "a pair of people apart is not in order":
        catalog._db.execute("PRAGMA ignore_check_constraints = ON")  # else SQLite finds it first
    found = catalog.faults()
    assert [fault for fault in found if name in fault], found


def test_each_rule_is_broken_once() -> None:
    assert _RULES.keys() <= BREAKS.keys()


def test_many_of_one_kind_are_one_line(catalog: Catalog) -> None:
    catalog._db.executescript("".join(f"{_ASSIGN} ({face}, 1, 'auto', '', '');" for face in (2, 4)))
    for number in range(5):
        add_photo(catalog, f"more{number}.png", 1, 2)
    faces = range(5, 15)
    catalog._db.executescript("".join(f"{_ASSIGN} ({face}, 1, 'auto', '', '');" for face in faces))
    (fault,) = catalog.faults()
    assert fault.startswith("a run assigned a face to somebody who is in the photo already: 2, 4, 5, 6, 7 and 7 more")


def test_two_faces_of_one_person_in_a_photo_are_right_where_a_user_placed_them(catalog: Catalog) -> None:
    with catalog.write():
        catalog.assignments.assign_by_user(2, 1, rule="placed by you", now=NOW)
    assert catalog.faults() == []


ACTIONS = st.lists(
    st.one_of(COMINGS_AND_GOINGS, COMINGS_AND_GOINGS, RUNS, RUNS, DECISIONS, DECISIONS, UNDOING),
    min_size=4,
    max_size=14,
)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(ACTIONS)
def test_nothing_that_users_and_runs_do_breaks_a_rule(actions: list[Action]) -> None:
    with new_world() as world:
        ruled = Ruled(world)
        for action in (("arrive", [([(0, 0), (2, 1)], ""), ([(0, 2), (1, 3)], "")]), ("scan",), *actions, ("scan",)):
            ruled.do(_seen(action))
            assert world.app.catalog.faults() == []


def _seen(action: Action) -> Action:
    from rules import Seen

    if action[0] != "arrive":
        return action
    return "arrive", [([Seen(*face) for face in faces], taken) for faces, taken in action[1]]
