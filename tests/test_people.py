"""Identities: what users decided stays, runs only touch what is theirs."""

from __future__ import annotations

from typing import Any

import pytest
from drawn import Library, make_library
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facewatch.app import App
from facewatch.errors import NotKnownError
from facewatch.people.lookup import clean_name, find_person


def people(app: App) -> dict[int, tuple[str | None, int]]:
    return {p.id: (p.name, p.n_photos) for p in app.catalog.people.all() if p.n_photos}


def who_is_on(app: App, library: Library, name: str) -> list[Any]:
    return [face["person_id"] for face in app.lookup.photo(library.photos / name)["faces"]]


def test_faces_that_look_alike_become_an_unnamed_person_and_a_single_face_stays_in_the_pool(three: Library) -> None:
    with three.app() as app:
        assert sorted(people(app).values()) == [(None, 2), (None, 3)]
        assert who_is_on(app, three, "e.png") == [None]


def test_a_new_photo_of_a_known_person_is_matched_by_distance(three: Library) -> None:
    three.draw("f.png", (2, 9))
    three.scan()
    with three.app() as app:
        [face] = app.lookup.photo(three.photos / "f.png")["faces"]
    assert face["source"] == "auto"
    assert face["distance"] < 0.2 < 1.0 < face["runner_up_distance"]


def test_a_second_face_of_the_pool_makes_a_person(three: Library) -> None:
    three.draw("f.png", (3, 1))
    three.scan()
    with three.app() as app:
        assert who_is_on(app, three, "e.png") == who_is_on(app, three, "f.png") != [None]


def test_two_faces_of_one_photo_are_two_people(library: Library) -> None:
    library.draw("mirror.png", (1, 0), (1, 1))
    library.draw("b.png", (1, 2))
    library.scan()
    with library.app() as app:
        on_mirror = who_is_on(app, library, "mirror.png")
    assert len([p for p in on_mirror if p is not None]) <= 1


def test_a_rejection_is_never_contradicted(three: Library) -> None:
    with three.app() as app:
        [person] = who_is_on(app, three, "b.png")
    three.draw("f.png", (1, 5))
    with three.app() as app:
        list(app.pipeline.index(three.photos, ["f.png"]))
        face = app.lookup.photo(three.photos / "f.png")["faces"][0]["face_id"]
        with app.catalog.write():
            db = app.catalog._db
            db.execute("DELETE FROM assignments WHERE face_id = ?", [face])
            db.execute("INSERT INTO rejections VALUES (?, ?, 'now')", [face, person])
    with three.app() as app:
        app.grouping.recluster()
        assert who_is_on(app, three, "f.png") == [None]


def test_naming_keeps_the_id_and_survives_every_later_run(three: Library) -> None:
    with three.app() as app:
        [person] = who_is_on(app, three, "b.png")
        app.corrections.rename(str(person), "Anna")
    three.draw("f.png", (1, 7))
    three.scan()
    with three.app() as app:
        assert people(app)[person] == ("Anna", 3)


def test_a_person_is_found_by_id_label_name_or_a_unique_beginning(three: Library) -> None:
    with three.app() as app:
        first, second = people(app)
        app.corrections.rename(str(first), "Anna Maria")
        app.corrections.rename(f"person {second:04d}", "Annika")
        for who in (str(first), f"Person {first:04d}", "Anna Maria", "anna m", "ANNA MARIA"):
            assert app.lookup.person(who).id == first
        with pytest.raises(NotKnownError, match=r"fits 2 people: .*Anna Maria \(p"):
            app.lookup.person("ann")
        with pytest.raises(NotKnownError, match="nobody is called 'Anika'; did you mean Annika"):
            app.lookup.person("Anika")
        with pytest.raises(NotKnownError, match="nobody is called '999'"):
            app.lookup.person("999")


def test_renaming_onto_a_taken_name_offers_a_merge_and_merges_when_told(three: Library) -> None:
    with three.app() as app:
        first, second = people(app)
        app.corrections.rename(str(first), "Anna")
        with pytest.raises(NotKnownError, match=rf"facewatch rename {second} Anna --merge"):
            app.corrections.rename(str(second), "anna")
        app.corrections.rename(str(second), "Anna", may_merge=True)
        assert people(app) == {first: ("Anna", 4)}
        assert app.lookup.person(str(second)).id == first  # who was merged is found where it went
    assert [name for name in three.tree() if not name.startswith("Anna/")] == []


def test_a_merge_is_journalled_with_what_undoes_it(three: Library) -> None:
    with three.app() as app:
        first, second = people(app)
        n_faces = app.lookup.person(str(second)).n_faces
        app.corrections.rename(str(first), "Anna")
        app.corrections.rename(str(second), "Anna", may_merge=True)
        entries = list(app.catalog.journal.entries())
        changes = app.catalog.journal.changes(entries[-1].id) or []
    assert [entry.action for entry in entries] == ["recluster", "rename", "merge"]
    assert [entry.actor for entry in entries] == ["scan", "user", "user"]
    moved = [change for change in changes if change.table == "assignments" and change.after is not None]
    released = [change for change in changes if change.table == "assignments" and change.after is None]
    assert (len(moved), len(released)) == (n_faces - 1, 1)  # they are in one photo together


def test_the_same_name_in_another_case_is_a_rename_not_a_merge(three: Library) -> None:
    with three.app() as app:
        first, _ = people(app)
        app.corrections.rename(str(first), "anna")
        assert app.corrections.rename("anna", "Anna").person.name == "Anna"


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "is empty"),
        ("  \n ", "is empty"),
        ("a\0b", "control characters"),
        ("\udcff", "not UTF-8"),
        ("x" * 121, "at most 120"),
        ("17", "taken for the id"),
        ("person 0017", "taken for the id"),
        ("../../etc", "out of the people folder"),
        ("/etc", "out of the people folder"),
    ],
)
def test_names_that_cannot_work_are_refused(name: str, fault: str) -> None:
    with pytest.raises(NotKnownError, match=fault):
        clean_name(name)


@given(st.text(max_size=100))
def test_a_clean_name_stays_clean(name: str) -> None:
    try:
        cleaned = clean_name(name)
    except NotKnownError:
        return
    assert clean_name(cleaned) == cleaned


def test_a_dry_run_changes_nothing(library: Library) -> None:
    library.draw("a.png", (1, 0))
    library.draw("b.png", (1, 1))
    with library.app() as app:
        list(app.pipeline.index(library.photos, ["a.png", "b.png"]))
        would = app.grouping.recluster(is_dry_run=True)
        assert (would.n_new_people, would.n_grouped) == (1, 2)
        assert people(app) == {}
        assert app.grouping.recluster() == would


def test_grouping_twice_changes_nothing_the_second_time(three: Library) -> None:
    with three.app() as app:
        again = app.grouping.recluster()
    assert (again.n_new_people, again.n_joined_people, again.n_grouped, again.n_matched) == (0, 0, 0, 0)


def test_a_merge_while_grouping_is_noticed(three: Library) -> None:
    """The plan was made on a snapshot; when somebody writes before it is applied, it is made again."""
    three.draw("f.png", (3, 1))
    with three.app() as app, three.app() as other:
        list(app.pipeline.index(three.photos, ["f.png"]))
        first, _ = people(app)

        class Interrupting:
            labels_: Any = None
            n_calls = 0

            def fit_predict(self, embeddings: Any, *, photos: Any, ids: Any = None) -> Any:
                from facewatch.clustering import make_clusterer

                if not self.n_calls:
                    other.corrections.rename(str(first), "Anna")
                self.n_calls += 1
                return make_clusterer("hdbscan", ceiling=0.35).fit_predict(embeddings, photos=photos)

        clusterer = Interrupting()
        result = app.identities.recluster(lambda: clusterer)
        assert clusterer.n_calls > 1
        assert result.n_new_people == 1
        assert people(app)[first][0] == "Anna"


PHOTO = st.lists(st.integers(1, 5), min_size=1, max_size=3, unique=True)
ACTION = st.one_of(
    st.tuples(st.just("photo"), PHOTO),
    st.tuples(st.just("name"), st.integers(0, 5)),
    st.tuples(st.just("scan"), st.none()),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACTION, min_size=1, max_size=12))
def test_no_sequence_of_photos_names_and_runs_moves_a_face_from_its_person(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, Any]]
) -> None:
    library = make_library(tmp_path_factory.mktemp("sequence"))
    named: dict[int, str] = {}
    before: dict[int, int] = {}
    look = 0
    for action, value in actions:
        if action == "photo":
            look += 1
            library.draw(f"{look}.png", *((person, look) for person in value))
        elif action == "name" and before:
            with library.app() as app:
                ids = sorted(people(app))
                if ids:
                    person = ids[value % len(ids)]
                    named[person] = f"Name {person}"
                    app.corrections.rename(str(person), named[person])
        else:
            library.scan()
        with library.app() as app:
            rows = app.catalog._db.execute("SELECT face_id, person_id FROM assignments").fetchall()
            photos = dict(app.catalog._db.execute("SELECT id, photo_id FROM faces").fetchall())
            everybody = {p.id: p for p in app.catalog.people.all()}
            after = dict(rows)
            # Nobody loses a face, except to the unnamed person that theirs was joined to.
            for face, person in before.items():
                assert after[face] == person or (person not in named and person not in everybody)
            # No two faces of one photo in one person.
            pairs = [(person, photos[face]) for face, person in after.items()]
            assert len(pairs) == len(set(pairs))
            for person, name in named.items():
                assert everybody[person].name == name
        before = after


@pytest.mark.parametrize("method", ["hdbscan", "linkage"])
def test_every_method_groups_the_same_clear_cases(library: Library, method: str) -> None:
    for i in range(12):
        library.draw(f"{i}.png", (i % 3, i))
    library.scan(**{"cluster.method": method})
    assert library.groups() == [{f"{i}.png" for i in range(first, 12, 3)} for first in (0, 1, 2)]


@pytest.mark.parametrize("who", ["Person 0001", "person 1", "1", "PERSON  0001"])
def test_a_label_is_a_persons_name_as_a_whole(library: Library, who: str) -> None:
    library.draw_looks(1, 2)
    library.scan()
    with library.app() as app:
        assert find_person(app.catalog, who).id == 1


@pytest.mark.parametrize("who", ["Person 000", "Person", "person 00"])
def test_the_beginning_of_a_label_is_nobody_and_says_whom_it_could_mean(library: Library, who: str) -> None:
    library.draw_looks(1, 2)
    library.scan()
    with library.app() as app, pytest.raises(NotKnownError, match="Person 0001; write the whole number"):
        find_person(app.catalog, who)


def test_a_photo_that_is_gone_is_compared_with_no_longer_in_the_same_process(library: Library) -> None:
    library.draw_looks(1, 4)
    with library.app() as app:
        app.pipeline.scan()
        library.draw("new.png", (1, 3), shade=190)
        (library.photos / "3.png").unlink()
        app.pipeline.scan()
        [face] = app.lookup.photo(library.photos / "new.png")["faces"]
        assert face["distance"] > 0.01  # the one that looked the same is away
