"""Rules that no run may break, over random sequences of what users do and which photos come and go.

Two faces of one photo are in one person only where a user put both there; who is merged takes along what runs placed,
but for all faces but one in a photo. Whoever was forgotten has no faces; they are nobody's, and stay so.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from rules import LOOKS, PEOPLE, DrawnWorld, Facts, Seen, World, new_world

from facewatch.errors import DecisionError, EngineError, NotKnownError
from facewatch.people.births import is_clearly_before
from facewatch.types import Tier

NAMES = ("Anna", "Ben", "anna")
Action = tuple[Any, ...]


# --- what may be done ---

TIERS = st.sampled_from([Tier.ENROLL] * 6 + [Tier.MATCH, Tier.SHOW])
SEEN = st.builds(
    Seen,
    st.integers(0, PEOPLE - 1),
    st.integers(0, LOOKS - 1),
    TIERS,
    st.sampled_from(["", "", "", "", "first", "second"]),
)
TAKEN = st.sampled_from(["", "", "2000-01-01T12:00:00", "2020-01-01T12:00:00"])
PHOTO = st.tuples(st.lists(SEEN, min_size=1, max_size=4), TAKEN)
NUMBER = st.integers(0, 30)
FACES = st.lists(NUMBER, min_size=1, max_size=3)
WHO = st.integers(0, 9)
BACK = st.sampled_from([False, False, True])


def _decision(action: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Action]:
    return st.tuples(st.just(action), *arguments)


ARRIVALS = st.tuples(st.just("arrive"), st.lists(PHOTO, min_size=1, max_size=3))
COMINGS_AND_GOINGS = st.one_of(
    ARRIVALS,
    ARRIVALS,
    st.tuples(st.sampled_from(["leave", "come_back", "copy"]), NUMBER),
)
RUNS = st.sampled_from([("scan",)] * 6 + [("regroup",), ("restart",), ("change_engine",), ("change_engine",)])
DECISIONS = st.one_of(
    _decision("rename", WHO, st.sampled_from(NAMES), st.booleans()),
    _decision("merge", WHO, st.lists(WHO, min_size=1, max_size=2)),
    _decision("split", WHO, st.lists(st.integers(0, 2), min_size=1, max_size=6)),
    _decision("cannot_link", WHO, WHO),
    _decision("hide", WHO),
    _decision("show", WHO),
    _decision("cover", WHO, NUMBER),
    _decision("born", WHO, st.sampled_from(["1990", "2010-05", None])),
    _decision("forget", WHO),
    _decision("assign", FACES, WHO),
    _decision("assign_new", FACES, st.sampled_from(NAMES)),
    _decision("unassign", FACES),
    _decision("ignore", FACES),
    _decision("reject", FACES, st.one_of(st.none(), WHO)),
    _decision("confirm", FACES),
    _decision("confirm_person", WHO),
    _decision("present", WHO, FACES),
    _decision("absent", WHO, FACES),
    _decision("draw", NUMBER, NUMBER, st.one_of(st.none(), WHO)),
)
UNDOING = st.one_of(
    st.tuples(st.just("undo"), st.integers(1, 3)),
    st.tuples(st.just("undo_one"), NUMBER, st.booleans()),
    st.tuples(st.just("redo")),
)


# --- doing it, and holding the rules against it ---


@dataclasses.dataclass
class Decision:
    """A decision that stands, and what was said before and after it."""

    id: int
    before: Facts
    after: Facts
    is_in_order: bool = True
    """Whether taking back the newest decisions one after the other leads back to before it."""

    def changed(self) -> set[tuple[Any, ...]]:
        return {key for key in self.before.keys() | self.after.keys() if self.before.get(key) != self.after.get(key)}


class Ruled:
    """A world in which every step must keep the rules."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.made: dict[int, Decision] = {}
        self.standing: list[int] = []
        self._faces: dict[int, int] = {}
        self._people: set[int] = set()

    def do(self, action: Action, *, and_back: bool = False) -> None:
        name, *arguments = action
        self.world.step += 1
        if name == "arrive":
            for faces, taken in arguments[0]:
                self.world.arrive(*faces, taken=taken)
        elif name in ("leave", "come_back", "copy"):
            getattr(self.world, name)(*arguments)
        elif name in ("scan", "regroup", "restart", "change_engine"):
            self._run(getattr(self.world, name))
        elif name in ("undo", "undo_one", "redo"):
            getattr(self, f"_{name}")(*arguments)
        else:
            self._decide(name, arguments, and_back=and_back)
        self._check()

    # --- runs ---

    def _run(self, run: Callable[[], None]) -> None:
        before = self.world.told()
        run()
        after = self.world.told()
        check_run(*self._without_heirs(before, after))
        heirs = self.world.heirs()
        for key, value in before.items():
            # What users said of a face itself counts more than what is handed over to it.
            assert key[0] != "face" or key[1] not in heirs or value[1] != "user" or after[key][:2] == value[:2], key

    def _without_heirs(self, *facts: Facts) -> list[Facts]:
        """Return the facts that are not about faces to which something may have been handed over."""
        heirs, photos = self.world.heirs(), self.world.faces()
        versions = {photos[face] for face in heirs}
        covered = {key[1] for each in facts for key, face in each.items() if key[0] == "cover_id" and face in heirs}
        return [
            {
                key: value
                for key, value in each.items()
                if not (key[0] in ("face", "rejection", "mark") and key[1] in heirs)
                and not (key[0] == "cover_id" and key[1] in covered)
                and not (key[0] == "presence" and key[2] in versions)
                and not (key[0] == "drawn" and value[0] in versions)
            }
            for each in facts
        ]

    # --- decisions ---

    def _decide(self, name: str, arguments: Sequence[Any], *, and_back: bool) -> None:
        before, tree = self.world.told(), self.world.tree()
        action, positional, options, named, target, merged = self._meant(name, arguments)
        try:
            decided = self.world.decide(action, *positional, **options)
        except (NotKnownError, DecisionError, EngineError):
            assert self.world.told() == before, "a decision that is refused changes nothing"
            return
        after = self.world.told()
        check_decision(action, before, after, named=named, target=target, merged=merged)
        if decided.entry_id is None:
            assert after == before
            return
        self.made[decided.entry_id] = Decision(decided.entry_id, before, after)
        self.standing.append(decided.entry_id)
        if and_back:
            self._back_and_forth(before, tree, after, self.world.tree())

    def _back_and_forth(self, before: Facts, tree: Any, after: Facts, tree_after: Any) -> None:
        """Undo, redo and undo are exact, in the catalog and on disk."""
        for undo_or_redo, facts, folders in (
            (lambda: self.world.app.corrections.undo(1), before, tree),
            (self.world.app.corrections.redo, after, tree_after),
            (lambda: self.world.app.corrections.undo(1), before, tree),
            (self.world.app.corrections.redo, after, tree_after),
        ):
            undo_or_redo()
            differing = differences(without_the_unmade(self.world.told(), facts), facts)
            assert not differing, differing
            if self.world.is_shown:
                assert self.world.tree() == folders

    def _meant(
        self, name: str, arguments: Sequence[Any]
    ) -> tuple[str, tuple[Any, ...], dict[str, Any], set[int], int | None, set[int]]:
        """Return method, arguments, options, faces that are named, who gets faces, and who is merged."""
        if name == "rename":
            who, new, may_merge = self._who(arguments[0]), arguments[1], arguments[2]
            taken = [p for p, n in self.world.app.catalog.people.names().items() if n.casefold() == new.casefold()]
            merged = {int(who)} if may_merge and taken else set()
            return name, (who, new), {"may_merge": may_merge}, set(), taken[0] if taken else None, merged
        if name == "merge":
            target, others = self._who(arguments[0]), [self._who(i) for i in arguments[1]]
            return name, (target, others), {}, set(), int(target), {int(other) for other in others}
        if name == "split":
            return self._split(*arguments)
        if name == "cannot_link":
            return name, tuple(self._who(i) for i in arguments), {}, set(), None, set()
        if name == "cover":
            who = self._who(arguments[0])
            own = sorted(face for face, person in self.world.whose().items() if person == int(who))
            face = str(own[arguments[1] % len(own)]) if own else self._face(arguments[1])
            return name, (who, face), {}, set(), None, set()
        if name in ("assign", "assign_new"):
            faces = self._some(arguments[0])
            who = self._who(arguments[1]) if name == "assign" else arguments[1]
            target = int(who) if name == "assign" else None
            return "assign", (faces, who), {"is_new": name == "assign_new"}, set(map(int, faces)), target, set()
        if name in ("unassign", "ignore", "confirm", "reject"):
            faces = self._some(arguments[0])
            who_not = (None if arguments[1] is None else self._who(arguments[1]),) if name == "reject" else ()
            return name, (faces, *who_not), {}, set(map(int, faces)), None, set()
        if name == "draw":
            return self._draw(*arguments)
        who = self._who(arguments[0])
        if name in ("present", "absent"):
            return name, (who, self._photos(arguments[1])), {}, set(), None, set()
        merged = {int(who)} if name == "forget" else set()
        return name, (who, *arguments[1:]), {}, set(), None, merged

    def _split(self, who: int, numbers: Sequence[int]) -> Any:
        person_id = int(self._who(who))
        own = sorted(face for face, person in self.world.whose().items() if person == person_id)
        parts: dict[int, list[int]] = {}
        for face, number in zip(own, numbers, strict=False):
            if number:
                parts.setdefault(number, []).append(face)
        person = self.world.app.catalog.people.one(person_id)
        if person is None or not parts:
            # There is nobody to split: something else that is refused.
            return "hide", ("0",), {}, set(), None, set()
        return "split", (person, list(parts.values())), {}, set(), None, set()

    def _draw(self, photo: int, place: int, who: int | None) -> Any:
        [photo_id] = self._photos([photo])
        box = self.world.between(photo_id, place)
        person = None if who is None else self._who(who)
        return "draw", (photo_id, box, person), {}, set(), None, set()

    def _photos(self, numbers: Sequence[int]) -> list[int]:
        photos = self.world.seen_photos()
        return [photos[number % len(photos)] for number in numbers]

    def _who(self, number: int) -> str:
        living = self.world.living()
        return str(living[number % len(living)]) if living else "1"

    def _face(self, number: int) -> str:
        faces = list(self.world.faces())
        return str(faces[number % len(faces)]) if faces else "1"

    def _some(self, numbers: Sequence[int]) -> list[str]:
        return [self._face(number) for number in numbers]

    # --- taking back ---

    def _undo(self, n: int) -> None:
        before, last = self.world.told(), self.standing[-n:]
        if n > len(self.standing):
            with pytest.raises(DecisionError):
                self.world.app.corrections.undo(n)
            assert self.world.told() == before
            return
        self.world.app.corrections.undo(n)
        self.standing = self.standing[:-n]
        after, first = self.world.told(), self.made[last[0]]
        if all(self.made[entry_id].is_in_order for entry_id in last):
            check_restored(*self._without_heirs(first.before, after))
        self._check_others_stand([self.made[entry_id] for entry_id in last], before, after)

    def _undo_one(self, number: int, with_chain: bool) -> None:
        if not self.standing:
            return
        before, entry_id = self.world.told(), self.standing[number % len(self.standing)]
        try:
            undone = self.world.app.corrections.undo_one(entry_id, with_chain=with_chain)
        except DecisionError:
            assert not with_chain
            assert self.world.told() == before
            return
        gone = {entry.id for entry in undone.entries}
        assert entry_id in gone
        self.standing = [other for other in self.standing if other not in gone]
        self._put_out_of_order(min(gone))
        decisions = [self.made[other] for other in sorted(gone)]
        after = self.world.told()
        if not with_chain:
            check_taken_back(decisions[0], before, after)
        self._check_others_stand(decisions, before, after)

    def _redo(self) -> None:
        before = self.world.told()
        try:
            redone = self.world.app.corrections.redo()
        except DecisionError:
            assert self.world.told() == before
            return
        again = {entry.id for entry in redone.entries}
        self.standing = sorted({*self.standing, *again})
        self._put_out_of_order(min(again))
        self._check_others_stand([self.made[entry_id] for entry_id in again], before, self.world.told())

    def _put_out_of_order(self, since: int) -> None:
        for entry_id, decision in self.made.items():
            if entry_id >= since:
                decision.is_in_order = False

    def _check_others_stand(self, decisions: Sequence[Decision], before: Facts, after: Facts) -> None:
        """What these decisions did not change is as it was, but for what runs placed."""
        before, after = self._without_heirs(before, after)
        concerned = set().union(*(decision.changed() for decision in decisions))
        for key, value in before.items():
            is_runs = key[0] == "face" and value[1] != "user"
            if key not in concerned and not is_runs and key[0] != "is_touched" and not _followed(key, before, after):
                assert after.get(key) == value, key

    # --- what always holds ---

    def _check(self) -> None:
        world = self.world
        check_standing(world)
        decisions = [entry.id for entry in world.app.catalog.journal.decisions()]
        assert decisions[::-1] == self.standing, "what can be undone is what users decided"
        faces, people = world.faces(), {p for (p,) in world.query("SELECT id FROM people")}
        assert self._faces.items() <= faces.items(), "a face stays a face of its photo"
        assert self._people <= people
        for old, new in ((set(self._faces), set(faces)), (self._people, people)):
            assert not old or min(new - old, default=2**63) > max(old), "ids are never used again"
        self._faces, self._people = faces, people


def is_machine_made(facts: Facts, person_id: int) -> bool:
    return (
        facts["name", person_id] is None
        and not facts["is_hidden", person_id]
        and not facts["is_touched", person_id]
        and not facts["is_gone", person_id]
    )


PERSON = ("name", "is_hidden", "is_touched", "merged_into", "is_gone", "born", "cover_id")


def without_the_unmade(facts: Facts, known: Facts) -> Facts:
    """Return the facts without those of people whose making was undone: only that their id is taken remains."""
    return {
        key: value
        for key, value in facts.items()
        if key in known or key[0] not in PERSON or not facts["is_gone", key[1]]
    }


def differences(facts: Facts, others: Facts) -> dict[tuple[Any, ...], tuple[Any, Any]]:
    """Return what is not the same, with both values; no fact counts as None."""
    return {
        key: (facts.get(key), others.get(key))
        for key in facts.keys() | others.keys()
        if not is_same(facts.get(key), others.get(key))
    }


def is_same(one: Any, other: Any) -> bool:
    """Whether two facts are equal, numbers as far as float32 holds them: a sum in another order is another one."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-6)
    return bool(one == other)


def check_run(before: Facts, after: Facts) -> None:
    """No run moves what users placed, or takes back what they said; faces change their person only with it, when one
    that nobody touched joins another without a name: of two in one photo then one is nobody's."""
    for key, value in before.items():
        kind, subject = key[0], key[1]
        if kind == "face":
            person, source = after[key][:2] if key in after else (_successor(after, value[0]), value[1])
            assert source == value[1], f"face {subject} was {value}, is {after.get(key)}"
            if person != value[0] or key not in after:
                assert source != "user"
                assert is_machine_made(before, value[0])
                # Absent: somebody new of the same run, who has no name either.
                assert before.get(("name", person)) is None
                assert not before.get(("is_hidden", person))
                assert _successor(after, value[0]) == person != value[0]
        elif kind == "merged_into":
            assert after[key] == value or is_machine_made(before, subject)
        else:
            assert after.get(key) == value, key
    for key in after.keys() - before.keys():
        if key[0] == "face":
            assert after[key][1] != "user"
            assert ("mark", key[1]) not in before
        elif key[0] in ("presence", "drawn"):
            pass  # it was carried over to another version of its photo
        elif key[0] == "rejection":
            assert any(k[:2] == key[:2] and _successor(after, k[2]) == key[2] for k in before if k[0] == "rejection")
        elif key[0] in ("name", "is_hidden", "is_touched", "is_gone"):
            assert not after[key]
        else:
            assert key[0] in ("apart", "merged_into", "born", "cover_id")


def check_decision(
    action: str, before: Facts, after: Facts, *, named: set[int], target: int | None, merged: set[int]
) -> None:
    """Only faces that a decision names, or whose person it merges or forgets, leave where a user placed them."""
    for key, value in before.items():
        if key[0] == "face" and value[1] == "user" and key[1] not in named:
            person, source = after[key][:2] if key in after else (None, None)
            if action == "forget" and value[0] in merged:
                assert person is None
                assert after["mark", key[1]][0] == "forgotten"
            else:
                assert source == "user", (key, value, after.get(key))
                assert person == value[0] or (value[0] in merged and person == target)
        if key[0] == "rejection":
            assert key in after or (action == "assign" and key[1] in named and after["face", key[1]][0] == key[2])
        if key[0] == "mark":
            assert key in after or (action == "assign" and key[1] in named)


def check_restored(expected: Facts, facts: Facts) -> None:
    """All is as it was before the decisions that were taken back. What runs have done since with what they may touch
    stays: untouched people may have been joined, and of two faces in a photo one let go by that, new photos may have
    brought faces."""
    joined = {
        key[1]: facts[key]
        for key, value in expected.items()
        if key[0] == "merged_into" and value is None and facts[key] is not None and is_machine_made(expected, key[1])
    }
    for key, value in expected.items():
        if key[0] == "face":
            if key not in facts and value[0] in joined and value[1] != "user":
                continue
            person, source = facts[key][:2] if key in facts else (None, None)
            while value[0] in joined and person != value[0]:
                value = (joined[value[0]], *value[1:])
            assert (person, source) == tuple(value[:2]), f"face {key[1]}: {value}, now {facts.get(key)}"
        elif not (key[0] == "merged_into" and key[1] in joined):
            assert facts.get(key) == value, f"{key}: {value}, now {facts.get(key)}"
    for key in facts.keys() - expected.keys():
        if key[0] == "face":
            assert facts[key][1] != "user", key
            assert facts["is_gone", facts[key][0]] == 0
        elif key[0] in PERSON:
            assert facts["is_gone", key[1]] or is_machine_made(facts, key[1])
        else:
            assert key[0] in ("rejection", "apart"), key
            assert set(joined.values()) & set(key[1:]), key


def check_taken_back(decision: Decision, before: Facts, after: Facts) -> None:
    """What this decision changed, and nothing else since, is as it was before it."""
    for key in decision.changed():
        if key[0] == "is_touched" or before.get(key) != decision.after.get(key):
            continue
        was, now = decision.before.get(key), after.get(key)
        if key[0] == "face" and was is not None and now is None and was[1] != "user":
            continue  # it made room for what a user placed beside it since
        if key[0] == "face" and was is None and now is not None and now[1] != "user":
            continue  # it was looked at again
        if key[0] == "cover_id" and was is not None and _owner(after, was) != key[1]:
            continue  # it has left the person since
        new = (
            key[0] in ("name", "is_hidden", "merged_into", "is_gone", "born", "cover_id") and key not in decision.before
        )
        if new:
            assert after["is_gone", key[1]]
            continue
        assert now == was, f"{key} was {was}, is {now}"


def _owner(facts: Facts, face: int) -> int | None:
    person: int | None = facts.get(("face", face), (None,))[0]
    return person


def _followed(key: tuple[Any, ...], before: Facts, after: Facts) -> bool:
    """Whether a face stands for its person, or does no more, because it came or went."""
    faces = {before.get(key), after.get(key)} - {None}
    return key[0] == "cover_id" and any(_owner(before, face) != _owner(after, face) for face in faces)


def _successor(facts: Facts, person_id: int) -> int:
    while facts["merged_into", person_id] is not None:
        person_id = facts["merged_into", person_id]
    return person_id


def check_standing(world: World) -> None:
    """What always holds, whatever was done."""
    facts, photos, living = world.told(), world.faces(), set(world.living())
    taken = dict(world.query("SELECT id, taken_at FROM photos WHERE taken_at > ''"))
    assert world.query("PRAGMA foreign_key_check") == []
    placed = {key[1]: value for key, value in facts.items() if key[0] == "face"}
    in_photo = Counter((photos[face], row[0]) for face, row in placed.items())
    for face, (person, source, *_) in placed.items():
        assert person in living, f"face {face} belongs to {person}, who is gone"
        assert ("mark", face) not in facts, f"face {face} belongs to {person}, although a user took it out"
        assert ("rejection", face, person) not in facts, f"face {face} is not {person}, as a user said"
        assert source == "user" or in_photo[photos[face], person] == 1, f"face {face}: {person} is there twice"
        born, when = facts["born", person], taken.get(photos[face], "")
        assert source == "user" or born is None or not is_clearly_before(when, born), f"face {face}: {person} not born"
        if source != "user":
            rejected = {_successor(facts, key[2]) for key in facts if key[:2] == ("rejection", face)}
            assert person not in rejected
    for key, face in facts.items():
        assert key[0] != "cover_id" or face is None or _owner(facts, face) == key[1], f"{face} stands for {key[1]}"
        assert key[0] != "apart" or not living & set(key[1:]) or _successor(facts, key[1]) != _successor(facts, key[2])
    for key, value in facts.items():
        assert key[0] != "presence" or key[1] in living, f"{key[1]}, who is gone, is in photo {key[2]}"
        assert key[0] != "drawn" or value[1] is None or photos[value[1]] == value[0]
    assert world.app.catalog.faults() == []
    names = [facts["name", person].casefold() for person in living if facts["name", person]]
    assert len(names) == len(set(names))
    for face, person in world.query("SELECT face_id, person_id FROM suggestions"):
        assert person in living
        assert face not in placed
        assert ("mark", face) not in facts
        assert ("rejection", face, person) not in facts
    if world.is_shown:
        tree, wanted = world.tree(), world.wanted_tree()
        assert tree == wanted, (tree, wanted)


class Machine(RuleBasedStateMachine):
    """Whatever users and runs do, one after the other."""

    kind: type[World] = World

    def __init__(self) -> None:
        super().__init__()
        self._world = new_world(self.kind)
        self.ruled = Ruled(self._world.__enter__())

    def teardown(self) -> None:
        self._world.__exit__(None, None, None)

    @initialize(photos=st.lists(PHOTO, min_size=3, max_size=7))
    def first_photos(self, photos: Any) -> None:
        self.ruled.do(("arrive", photos))
        self.ruled.do(("scan",))

    @rule(action=COMINGS_AND_GOINGS, is_scanned=st.booleans())
    def photos(self, action: Action, is_scanned: bool) -> None:
        self.ruled.do(action)
        if is_scanned:
            self.ruled.do(("scan",))

    @rule(action=RUNS)
    def run(self, action: Action) -> None:
        self.ruled.do(action)

    @rule(action=DECISIONS, and_back=BACK)
    def decide(self, action: Action, and_back: bool) -> None:
        self.ruled.do(action, and_back=and_back)

    @rule(action=DECISIONS)
    def decide_again(self, action: Action) -> None:
        self.ruled.do(action)

    @rule(action=UNDOING)
    def undo(self, action: Action) -> None:
        self.ruled.do(action)


class DrawnMachine(Machine):
    kind = DrawnWorld


def for_so_many(n_examples: int) -> settings:
    return settings(max_examples=n_examples, stateful_step_count=14, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def n_examples(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--rule-examples"))


def test_no_run_and_no_undo_breaks_a_rule(n_examples: int) -> None:
    run_state_machine_as_test(Machine, settings=for_so_many(n_examples))


def test_no_rule_is_broken_where_photos_are_decoded_and_looked_at(n_examples: int) -> None:
    run_state_machine_as_test(DrawnMachine, settings=for_so_many(max(1, n_examples // 12)))


def test_the_outcome_does_not_depend_on_how_often_was_scanned(n_examples: int) -> None:
    photos = st.lists(PHOTO, min_size=3, max_size=7)
    steps = st.lists(st.one_of(ARRIVALS, COMINGS_AND_GOINGS, DECISIONS, UNDOING, RUNS, st.just(("scan",))), max_size=12)

    @settings(for_so_many(max(1, n_examples // 6)))
    @given(photos, steps)
    def law(photos: Any, steps: Any) -> None:
        with new_world(n_scans=1) as once, new_world(n_scans=3) as thrice:
            ruled = Ruled(once), Ruled(thrice)
            for step in (("arrive", photos), ("scan",), *steps, ("scan",)):
                for one in ruled:
                    one.do(step)
                differing = differences(once.told(), thrice.told())
                assert not differing, differing
                assert once.tree() == thrice.tree()
                assert ruled[0].standing == ruled[1].standing

    law()


# --- what these found ---


@pytest.fixture
def world() -> Iterator[World]:
    with new_world() as world:
        yield world


def photos_of(world: World, *people: int, n: int = 2) -> None:
    """Bring in n photos of each; the people have the ids 1, 2 and so on."""
    for person in people:
        for look in range(n):
            world.arrive(Seen(person, look))
    world.scan()
    assert len(world.living()) == len(people)


@pytest.mark.parametrize("decision", [("cover", "1", "1"), ("cannot_link", "1", "2")])
def test_an_undo_is_exact_after_a_cover_was_chosen_or_two_were_told_apart(world: World, decision: Any) -> None:
    photos_of(world, 0, 4)
    world.decide(*decision)
    before = world.told()
    world.decide("rename", "1", "Anna")
    world.app.corrections.undo()
    assert world.told() == before


def test_a_merge_of_three_moves_no_placed_face_that_was_said_to_be_none_of_them(world: World) -> None:
    photos_of(world, 0, 2, 4)
    [face, _] = sorted(face for face, person in world.whose().items() if person == 2)
    world.decide("confirm", [str(face)])
    world.decide("reject", [str(face)], "3")
    before = world.told()
    with pytest.raises(DecisionError, match="you assigned face"):
        world.decide("merge", "1", ["3", "2"])
    assert world.told() == before


def test_a_face_is_not_given_back_alone_to_somebody_who_was_forgotten_since(world: World) -> None:
    photos_of(world, 0, n=4)
    before = world.told()
    first = world.decide("unassign", ["3"]).entry_id
    world.decide("forget", "1")
    with pytest.raises(DecisionError, match="built on it"):
        world.app.corrections.undo_one(first)
    world.app.corrections.undo_one(first, with_chain=True)
    assert world.told() == before


@pytest.mark.parametrize("later", [("unassign",), ("reject", "1")])
def test_a_face_that_made_room_is_not_given_back_alone_after_a_user_took_it_out(world: World, later: Any) -> None:
    world.arrive(Seen(0, 0), Seen(0, 1))
    world.arrive(Seen(0, 0))
    world.scan()
    [mirrored] = {1, 2} & world.whose().keys()
    before = world.told()
    first = world.decide("assign", [str(3 - mirrored)], "1").entry_id
    assert mirrored not in world.whose()
    action, *who = later
    world.decide(action, [str(mirrored)], *who)
    with pytest.raises(DecisionError, match="built on it"):
        world.app.corrections.undo_one(first)
    world.app.corrections.undo_one(first, with_chain=True)
    assert world.told() == before


def test_a_face_that_comes_back_to_its_person_has_no_guess_beside_it(world: World) -> None:
    photos_of(world, 0, 4, n=3)
    world.decide("reject", ["1"])
    assert world.query("SELECT face_id FROM suggestions") == [(1,)]
    world.app.corrections.undo()
    assert world.query("SELECT face_id FROM suggestions") == []


def test_whoever_a_run_had_made_of_released_faces_has_no_folder_after_the_undo(world: World) -> None:
    photos_of(world, 0, n=4)
    world.decide("reject", ["1", "2"])
    world.scan()
    assert len(world.tree()) == 2
    world.app.corrections.undo()
    assert world.tree() == world.wanted_tree() == {"_unnamed/Person 0001": {"1", "2", "3", "4"}}


def test_nobody_is_recognised_as_a_person_whose_making_was_undone(world: World) -> None:
    photos_of(world, 0)
    world.arrive(Seen(4, 0), Seen(4, 1))
    world.scan()
    world.decide("assign", ["3"], "Anna", is_new=True)
    world.app.corrections.undo()
    world.arrive(Seen(4, 0), Seen(5, 0))
    world.scan()
    check_standing(world)


def test_grouping_on_demand_is_no_decision_and_does_not_stand_in_the_way_of_an_undo(world: World) -> None:
    photos_of(world, 0)
    before = world.told()
    world.decide("rename", "1", "Anna")
    for look in range(2):
        world.arrive(Seen(4, look))
    list(world.app.pipeline.index(world.photos, ["3.photo", "4.photo"]))
    world.regroup()
    assert len(world.living()) == 2
    world.app.corrections.undo()
    check_restored(before, world.told())


def test_a_name_that_is_taken_now_does_not_come_back_alone(world: World) -> None:
    photos_of(world, 0, 4)
    world.decide("rename", "1", "Anna")
    before = world.told()
    first = world.decide("forget", "1").entry_id
    world.decide("rename", "2", "anna")
    with pytest.raises(DecisionError, match="built on it"):
        world.app.corrections.undo_one(first)
    world.app.corrections.undo_one(first, with_chain=True)
    assert world.told() == before


def test_a_person_is_not_unmade_alone_when_a_face_that_a_run_gave_them_was_confirmed(world: World) -> None:
    photos_of(world, 0)
    world.arrive(Seen(4, 0))
    world.scan()
    first = world.decide("assign", ["3"], "Anna", is_new=True).entry_id
    world.arrive(Seen(4, 1))
    world.scan()
    assert world.whose()[4] == world.whose()[3]
    world.decide("confirm", ["4"])
    with pytest.raises(DecisionError, match="built on it"):
        world.app.corrections.undo_one(first)
    world.app.corrections.undo_one(first, with_chain=True)
    check_standing(world)


def test_a_cover_that_left_its_person_meanwhile_does_not_come_back(world: World) -> None:
    photos_of(world, 0)
    world.decide("cover", "1", "1")
    second = world.decide("cover", "1", "2").entry_id
    world.decide("unassign", ["1"])
    world.app.corrections.undo_one(second)
    assert world.told()["cover_id", 1] is None


def test_a_cover_goes_with_the_undo_that_takes_its_face_and_comes_back_with_the_redo(world: World) -> None:
    photos_of(world, 0, 4)
    first = world.decide("assign", ["3"], "1").entry_id
    world.decide("cover", "1", "3")
    world.app.corrections.undo_one(first)
    assert world.told()["cover_id", 1] is None
    world.app.corrections.redo()
    assert world.told()["cover_id", 1] == 3
    check_standing(world)


def test_nothing_is_decided_again_about_who_has_become_part_of_another_by_a_run(world: World) -> None:
    photos_of(world, 0, 4)
    world.decide("rename", "2", "Anna")
    world.app.corrections.undo()
    catalog = world.app.catalog
    with catalog.write():
        catalog.assignments.reassign_all(2, 1)
        catalog.people.retire(2, 1)
    before = world.told()
    with pytest.raises(DecisionError, match="part of person p1"):
        world.app.corrections.redo()
    assert world.told() == before


def test_a_face_that_stands_for_its_person_is_not_doubted_when_what_it_may_have_followed_is_undone(
    world: World,
) -> None:
    ruled = Ruled(world)
    photos = [[Seen(0, 0)], [Seen(4, 0), Seen(0, 0), Seen(0, 0)], [Seen(0, 0), Seen(4, 5)], [Seen(0, 0)]]
    ruled.do(("arrive", [(faces, "") for faces in photos]))
    ruled.do(("scan",))
    for decision in (("draw", 13, 26, None), ("draw", 3, 12, None), ("cover", 9, 8)):
        ruled.do(decision)
    ruled.do(("scan",))
    ruled.do(("unassign", [1]))
    ruled.do(("undo_one", 0, True))
