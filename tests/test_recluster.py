"""A recluster as a preview: it shows whom it would change, and does exactly that, or is dropped."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from drawn import Library
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rules import Facts, Seen, World
from test_cases_loose import LOOSE, USUAL, AlikeEngine
from test_rules import is_machine_made, without_the_unmade

from facewatch import ids
from facewatch.app import App
from facewatch.config import load_config
from facewatch.errors import ConfigError, DecisionError, EngineError, NotKnownError, OutdatedError
from facewatch.people.recluster_preview import ChangedPerson, Fate, ReclusterPreview
from facewatch.settings import with_recluster
from facewatch.types import Tier


def state_of(app: App) -> dict[str, Any]:
    """Return whose each face is and who there is."""
    db = app.catalog._db
    columns = "face_id, person_id, source, distance, rule"
    return {
        "assignments": db.execute(f"SELECT {columns} FROM assignments ORDER BY face_id").fetchall(),
        "people": db.execute("SELECT id, name, is_hidden, is_touched, merged_into, is_gone FROM people").fetchall(),
    }


def living(app: App) -> dict[int, tuple[str | None, int]]:
    return {person.id: (person.name, person.n_faces) for person in app.catalog.people.all() if person.n_faces}


def indexed(library: Library, settings: dict[str, Any] | None = None) -> App:
    """Return an app whose photos are all in the catalog, none of them grouped."""
    app = library.app(settings, engine=AlikeEngine())
    names = sorted(str(path.relative_to(library.photos)) for path in library.photos.rglob("*.png"))
    list(app.pipeline.index(library.photos, names))
    return app


def name_it(app: App, preview: ReclusterPreview) -> None:
    app.corrections.rename(str(whom(preview).person_id), "Anna")


def take_a_face_out(app: App, preview: ReclusterPreview) -> None:
    with app.corrections.deciding() as decisions:
        decisions.unassign([str(whom(preview).before[0])])


def hide_it(app: App, preview: ReclusterPreview) -> None:
    with app.corrections.deciding() as decisions:
        decisions.hide(str(whom(preview).person_id))


def give_a_face_to_another(app: App, preview: ReclusterPreview) -> None:
    with app.corrections.deciding() as decisions:
        decisions.assign([str(whom(preview).before[-1])], "Zoe", is_new=True)


def whom(preview: ReclusterPreview) -> ChangedPerson:
    return next(one for one in preview.people if one.person_id is not None)


@pytest.fixture
def loose_group(library: Library) -> Library:
    """One unnamed person who is two, Anna and Ben: they were grouped loosely."""
    library.draw_looks(1, 4, "anna")
    library.draw_looks(2, 3, "ben")
    with library.app(LOOSE, engine=AlikeEngine()) as app:
        app.pipeline.scan()
        assert [n for _, n in living(app).values()] == [7]
    return library


def test_a_preview_changes_nothing_and_applied_it_is_what_a_recluster_does(library: Library, tmp_path: Path) -> None:
    library.draw_looks(1, 3, "anna")
    library.draw_looks(2, 2, "ben")
    with indexed(library) as app:
        before, entries = state_of(app), list(app.catalog.journal.entries())
        preview = app.reclusterer().preview()
        assert (state_of(app), list(app.catalog.journal.entries())) == (before, entries)
        app.reclusterer().apply(preview)
        applied = state_of(app)
    assert {frozenset(group) for group in library.groups()} == {
        frozenset({"anna0.png", "anna1.png", "anna2.png"}),
        frozenset({"ben0.png", "ben1.png"}),
    }
    other = Library(tmp_path / "other", library.photos, tmp_path / "other" / "People", tmp_path / "other" / "c.sqlite")
    other.base.mkdir()
    with indexed(other) as app:
        app.grouping.recluster()
        assert state_of(app) == applied


def test_a_preview_shows_new_groups_with_their_faces(library: Library) -> None:
    library.draw_looks(1, 3, "anna")
    library.draw("stranger.png", (9, 0))
    with indexed(library) as app:
        preview = app.reclusterer().preview()
        [new] = preview.people
        names = {
            app.catalog.files.sources([row.photo_id])[row.photo_id][0][-9:] for row in app.catalog.faces.rows(new.after)
        }
    assert (new.fate, new.person_id, new.before, len(new.after)) == (Fate.NEW, None, (), 3)
    assert names == {"anna0.png", "anna1.png", "anna2.png"}
    assert (preview.result.n_pool, preview.n_pool_after) == (4, 1)
    assert (preview.n_unnamed, preview.n_unnamed_after) == (0, 1)
    assert preview.result.n_grouped == 3


def test_a_preview_shows_who_grows_and_who_becomes_part_of_another(library: Library) -> None:
    library.draw_looks(1, 4, "anna")
    library.draw_looks(2, 3, "ben")
    with library.app(USUAL, engine=AlikeEngine()) as app:
        app.pipeline.scan()
        anna, ben = living(app)
    library.draw("anna9.png", (1, 9))
    with indexed(library, LOOSE) as app:
        with app.catalog.write():
            app.catalog.assignments.release([max(row.id for row in app.catalog.faces.of_person(anna))])
        preview = app.reclusterer().preview()
        changed = {one.person_id: one for one in preview.people}
        app.reclusterer().apply(preview)
        assert living(app) == {anna: (None, 8)}
        assert app.lookup.person(str(ben)).id == anna
    assert (changed[anna].fate, changed[ben].fate) == (Fate.GROWS, Fate.JOINS)
    assert changed[ben].into == (changed[anna].number,)
    assert set(changed[ben].before) < set(changed[anna].after)
    assert preview.result.n_joined_people == 1


def test_from_scratch_a_group_that_was_made_loosely_is_split_and_its_larger_part_stays(loose_group: Library) -> None:
    with loose_group.app(USUAL, engine=AlikeEngine()) as app:
        [who] = living(app)
        assert app.reclusterer().preview().is_empty, "what is grouped stays grouped"
        preview = app.reclusterer().preview(is_from_scratch=True)
        old, new = sorted(preview.people, key=lambda one: one.person_id is None)
        app.reclusterer().apply(preview)
        assert sorted(n for _, n in living(app).values()) == [3, 4]
        assert living(app)[who] == (None, 4)
    assert (old.person_id, old.fate, len(old.before), len(old.after)) == (who, Fate.SPLITS, 7, 4)
    assert (new.fate, old.into, len(new.after)) == (Fate.NEW, (new.number,), 3)
    assert sorted(map(sorted, loose_group.groups())) == [
        [f"anna{i}.png" for i in range(4)],
        [f"ben{i}.png" for i in range(3)],
    ]


def confirm_a_face(app: App, preview: ReclusterPreview) -> None:
    with app.corrections.deciding() as decisions:
        decisions.confirm([str(whom(preview).before[0])])


@pytest.mark.parametrize("decide", [name_it, hide_it, confirm_a_face])
def test_from_scratch_changes_nobody_about_whom_something_was_decided(
    loose_group: Library, decide: Callable[[App, ReclusterPreview], None]
) -> None:
    with loose_group.app(USUAL, engine=AlikeEngine()) as app:
        decide(app, app.reclusterer().preview(is_from_scratch=True))
        assert app.reclusterer().preview(is_from_scratch=True).is_empty


def test_from_scratch_by_the_same_settings_changes_nothing(library: Library) -> None:
    library.draw_looks(1, 4, "anna")
    library.draw_looks(2, 3, "ben")
    library.draw("both.png", (1, 8), (2, 8))
    with library.app(USUAL, engine=AlikeEngine()) as app:
        app.pipeline.scan()
        assert app.reclusterer().preview(is_from_scratch=True).is_empty


def test_who_is_only_held_together_by_looser_settings_vanishes_into_the_pool(library: Library) -> None:
    library.draw("anna.png", (1, 0))
    library.draw("ben.png", (2, 0))
    with library.app(LOOSE, engine=AlikeEngine()) as app:
        app.pipeline.scan()
        [who] = living(app)
    with library.app(USUAL, engine=AlikeEngine()) as app:
        preview = app.reclusterer().preview(is_from_scratch=True)
        [gone] = preview.people
        assert (gone.person_id, gone.fate, gone.n_to_pool, gone.after) == (who, Fate.VANISHES, 2, ())
        assert (preview.result.n_pool, preview.n_pool_after) == (0, 2)
        decided = app.reclusterer().apply(preview)
        assert app.catalog.people.one(who) is None
        assert app.catalog.faults() == []
        assert decided.entry_id is not None
        app.corrections.undo_one(decided.entry_id)
        assert living(app) == {who: (None, 2)}


def test_an_applied_preview_is_one_decision_that_can_be_undone_and_made_again(loose_group: Library) -> None:
    tree = loose_group.tree()
    with loose_group.app(USUAL, engine=AlikeEngine()) as app:
        before = state_of(app)
        decided = app.reclusterer().apply(app.reclusterer().preview(is_from_scratch=True))
        after, tree_after = state_of(app), loose_group.tree()
        [entry] = [entry for entry in app.corrections.history() if entry.actor == "user"]
        assert (entry.id, entry.action, entry.run_id is None) == (decided.entry_id, "recluster", False)
        app.corrections.undo()
        # Who came into being stays known, so that its id is never used again.
        assert state_of(app)["assignments"] == before["assignments"]
        assert [row for row in state_of(app)["people"] if not row[-1]] == before["people"]
        assert loose_group.tree() == tree
        app.corrections.redo()
        assert state_of(app) == after
        assert app.catalog.faults() == []
    assert loose_group.tree() == tree_after


def test_undo_of_another_decision_leaves_those_whom_a_recluster_changed_machine_made(loose_group: Library) -> None:
    loose_group.draw_looks(7, 2, "dora")
    with loose_group.app(USUAL, engine=AlikeEngine()) as app:
        app.pipeline.scan()
        dora = max(living(app))
        app.reclusterer().apply(app.reclusterer().preview(is_from_scratch=True))
        app.corrections.rename(str(dora), "Dora")
        app.corrections.undo()
        assert all(person.is_machine_made for person in app.catalog.people.all())


@pytest.mark.parametrize("meanwhile", [name_it, take_a_face_out, hide_it, give_a_face_to_another])
def test_what_was_decided_meanwhile_about_those_it_changes_is_not_overruled(
    loose_group: Library, meanwhile: Callable[[App, ReclusterPreview], None]
) -> None:
    with loose_group.app(USUAL, engine=AlikeEngine()) as app, loose_group.app(USUAL, engine=AlikeEngine()) as other:
        preview = app.reclusterer().preview(is_from_scratch=True)
        meanwhile(other, preview)
        decided = state_of(app)
        with pytest.raises(OutdatedError, match="since this was previewed; preview it again"):
            app.reclusterer().apply(preview)
        assert state_of(app) == decided


def test_what_happened_meanwhile_to_others_does_not_matter(loose_group: Library) -> None:
    loose_group.draw_looks(7, 2, "dora")
    with loose_group.app(USUAL, engine=AlikeEngine()) as app, loose_group.app(USUAL, engine=AlikeEngine()) as other:
        app.pipeline.scan()
        dora = max(living(app))
        preview = app.reclusterer().preview(is_from_scratch=True)
        other.corrections.rename(str(dora), "Dora")
        with other.corrections.deciding() as decisions:
            decisions.assign([str(app.catalog.faces.of_person(dora)[0].id)], "Zoe", is_new=True)
        app.reclusterer().apply(preview)
        names = sorted((name or "", n) for name, n in living(app).values())
        assert names == [("", 3), ("", 4), ("Dora", 1), ("Zoe", 1)]
        assert app.catalog.faults() == []


def test_who_got_a_face_meanwhile_of_a_photo_of_which_another_was_to_be_theirs_keeps_one(library: Library) -> None:
    library.draw_looks(1, 3, "anna")
    with library.app(USUAL, engine=AlikeEngine()) as app:
        app.pipeline.scan()
        [anna] = living(app)
    library.draw("twice.png", (1, 8), (1, 9))
    with indexed(library) as app:
        [twice] = {row.photo_id for row in app.catalog.faces.rows(range(4, 6))}
        with app.catalog.write():
            app.catalog.assignments.release([4, 5])
        preview = app.reclusterer().preview()
        [grows] = preview.people
        [coming] = set(grows.after) - set(grows.before)
        [other] = {4, 5} - {coming}
        with app.catalog.write():
            app.catalog.assignments.assign_by_user(other, anna, rule="test", now=app.catalog.now())
            app.catalog._db.execute("UPDATE assignments SET source = 'auto' WHERE face_id = ?", [other])
        assert len(app.catalog.faces.beside([twice], anna)) == 1
        with pytest.raises(OutdatedError, match=rf"Person 000{anna} has changed"):
            app.reclusterer().apply(preview)


# --- laws ---

SEEN = st.tuples(st.integers(0, 3), st.integers(0, 8), st.sampled_from([Tier.ENROLL, Tier.ENROLL, Tier.MATCH]))
PHOTOS = st.lists(
    st.lists(SEEN, min_size=1, max_size=2, unique_by=lambda seen: seen[0]), min_size=6, max_size=14, unique_by=str
)
DECIDED = st.lists(st.tuples(st.sampled_from(["rename", "reject", "unassign", "confirm", "hide"]), st.integers(0, 99)))


def decide(world: World, action: str, number: int) -> None:
    faces = sorted(world.whose().items())
    if not faces:
        return
    face, person = faces[number % len(faces)]
    try:
        match action:
            case "rename":
                world.decide("rename", ids.person(person), f"Name {number}")
            case "hide":
                world.decide("hide", ids.person(person))
            case _:
                world.decide(action, [ids.face(face)])
    except (DecisionError, NotKnownError):
        pass  # it was decided already


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(
    photos=PHOTOS,
    decided=DECIDED,
    first=st.sampled_from([-0.1, 0.0]),
    then=st.sampled_from([-0.1, 0.0, 0.1]),
    method=st.sampled_from(["whispers", "dbscan", "linkage"]),
    is_from_scratch=st.booleans(),
    n_later=st.integers(0, 6),
)
def test_a_recluster_moves_nothing_that_a_user_decided_and_undone_leaves_no_trace(
    photos: list[list[tuple[int, int, Tier]]],
    decided: list[tuple[str, int]],
    first: float,
    then: float,
    method: str,
    is_from_scratch: bool,
    n_later: int,
) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(World(Path(folder))) as world:
        earlier, later = photos[: len(photos) - n_later], photos[len(photos) - n_later :]
        paths = [world.arrive(*(Seen(*face) for face in faces)) for faces in earlier]
        with of_strictness(world, first) as app:
            if paths:
                app.pipeline.scan()
        for action, number in decided:
            decide(world, action, number)
        paths = [world.arrive(*(Seen(*face) for face in faces)) for faces in later]
        with of_strictness(world, then, method) as app:
            list(app.pipeline.index(world.photos, [path.name for path in paths]))
            before = world.told()
            preview = app.reclusterer().preview(is_from_scratch=is_from_scratch)
            assert world.told() == before
            entry = app.reclusterer().apply(preview).entry_id
            app.folder.sync()
        check_applied(before, world.told(), preview)
        assert world.app.catalog.faults() == []
        assert world.tree() == world.wanted_tree()
        if entry is not None:
            world.app.corrections.undo_one(entry)
            assert without_the_unmade(world.told(), before) == before


def of_strictness(world: World, strictness: float, method: str = "whispers") -> App:
    config = with_recluster(world.app.config, {"method": method, "strictness": strictness}, source="test")
    return App(config, info=world.app.engine.info, workers=world._workers())


def check_applied(before: Facts, after: Facts, preview: ReclusterPreview) -> None:
    """What users decided stands, nobody but those about whom nothing was decided loses a face, and all is as shown."""
    owners = {key[1]: value[0] for key, value in after.items() if key[0] == "face"}
    for key, value in before.items():
        if key[0] == "face" and (value[1] == "user" or not is_machine_made(before, value[0])):
            assert after[key] == value
        elif key[0] in ("rejection", "mark", "apart", "presence", "drawn", "name", "is_hidden", "is_touched"):
            assert after.get(key) == value
    for face, person in owners.items():
        assert ("rejection", face, person) not in after
    for one in preview.people:
        [*people] = {owners[face] for face in one.after}
        assert people == ([] if not one.after else [one.person_id] if one.person_id else people[:1])


# --- its parameters ---


def config_of(**given: Any) -> Any:
    return with_recluster(load_config(None, {}, cwd=Path("/")), given, source="the form")


def test_parameters_are_checked_as_settings_are() -> None:
    with pytest.raises(ConfigError, match=r"the form: 2 problems\n.*eps = 3: must be a number from 0 to 1.4") as caught:
        config_of(method="dbscan", eps=3, min_samples=0)
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize(
    ("method", "name", "has"),
    [
        ("whispers", "min_samples", "method, strictness, min_faces, eps"),
        ("hdbscan", "eps", "method, strictness, min_faces"),
        ("dbscan", "n_clusters", "method, strictness, min_faces, eps, min_samples"),
        ("spectral", "eps", "method, strictness, min_faces, k_reciprocal, verification_threshold, n_clusters"),
    ],
)
def test_a_parameter_that_the_method_does_not_take_is_refused(method: str, name: str, has: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name}: {method} has no such parameter; it has {has}$"):
        config_of(method=method, **{name: 1})


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown setting epsilon"):
        config_of(epsilon=2)


def test_dbscan_with_a_small_eps_or_many_samples_groups_less(library: Library) -> None:
    library.draw_looks(1, 3, "anna")
    with indexed(library) as app:
        config = app.config
    found = {}
    for chosen in ({}, {"eps": 0.01}, {"min_samples": 4}, {"min_faces": 4}):
        values = with_recluster(config, {"method": "dbscan", **chosen}, source="test").values
        with library.app(
            {key: values[key] for key in values if key.startswith("cluster.")}, engine=AlikeEngine()
        ) as app:
            found[str(chosen)] = app.reclusterer().preview().result.n_grouped
    assert found == {"{}": 3, "{'eps': 0.01}": 0, "{'min_samples': 4}": 0, "{'min_faces': 4}": 0}


# --- the command ---


@pytest.fixture
def loosely(loose_group: Library, monkeypatch: pytest.MonkeyPatch) -> Library:
    """The same, for commands: `facewatch` has that engine, too."""
    build = App.__init__

    def with_engine(self: App, config: Any, **arguments: Any) -> None:
        build(self, config, info=AlikeEngine().info, **arguments)

    monkeypatch.setattr(App, "__init__", with_engine)
    return loose_group


def test_a_dry_run_lists_whom_it_would_change_and_changes_nothing(loosely: Library, run: Any) -> None:
    tree = loosely.tree()
    shown = run("recluster", "--from-scratch", "--dry-run").out
    assert "faces of nobody: 0 -> 0; people without a name: 1 -> 2" in shown
    assert "is split: 3 faces to new person 2" in shown
    row = json.loads(run("recluster", "--from-scratch", "--dry-run", "--json").out)
    assert [(one["fate"], one["name"], len(one["after"])) for one in row["people"]] == [
        ("splits", "Person 0001", 4),
        ("new", "new person 2", 3),
    ]
    assert (row["method"], row["is_from_scratch"], row["n_new_people"]) == ("whispers", True, 1)
    assert loosely.tree() == tree


def test_recluster_does_it_and_undo_takes_it_back(loosely: Library, run: Any) -> None:
    tree = loosely.tree()
    said = run("recluster", "--from-scratch").out
    assert "grouped again: 1 new person, 1 split; `facewatch undo d2` takes that back" in said
    assert len(loosely.groups()) == 2
    assert "undone: grouped again: 1 new person" in run("undo").out
    assert loosely.tree() == tree
    assert "nothing to do: that is already so" in run("recluster").out


def test_the_command_takes_the_parameters_of_the_method(loosely: Library, run: Any) -> None:
    answer = run("recluster", "--method", "dbscan", "--eps", "7", "--n-clusters", "3")
    assert answer.code == 3
    assert "- cluster.eps = 7.0: must be a number from 0 to 1.4" in answer.err
    assert "- n_clusters: dbscan has no such parameter" in answer.err
    row = json.loads(run("recluster", "--method", "dbscan", "--eps", "0.2", "--dry-run", "--json").out)
    assert (row["settings"]["eps"], row["people"]) == (0.2, [])


def test_too_little_memory_leaves_everybody_as_they_were(loose_group: Library) -> None:
    library = loose_group
    with library.app(LOOSE | {"resources.memory_mb": 1}, engine=AlikeEngine()) as app:
        before = state_of(app)
        for group in (app.grouping.recluster, app.reclusterer().recluster):
            with pytest.raises(EngineError, match=r"raise resources\.memory_mb"):
                group()
        assert state_of(app) == before
