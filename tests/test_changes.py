"""The catalog counts whose faces change, so that whoever keeps what lists show reads only what is other now."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from drawn import Library

from facewatch.app import App
from facewatch.people.corrections import Decisions

NOBODY: set[int] = set()


def changed_by(library: Library, decide: Callable[[App], object]) -> tuple[set[int], bool]:
    """Return who has changed by this, and whether the photos of the library have."""
    with library.app() as app:
        tiles = app.catalog.tiles
        before, photos_before = tiles.changes(), tiles.library_stamp()
        decide(app)
        after = tiles.changes()
        changed = {person for person, n in after.items() if before.get(person) != n}
        return changed, tiles.library_stamp() != photos_before


def decided(say: Callable[[Decisions], object]) -> Callable[[App], object]:
    def decide(app: App) -> object:
        with app.corrections.deciding() as decisions:
            return say(decisions)

    return decide


@pytest.mark.parametrize(
    ("say", "changed"),
    [
        (lambda decisions: decisions.rename("p3", "Carl"), NOBODY),
        (lambda decisions: decisions.merge("p2", ["p3"]), {2, 3}),
        (lambda decisions: decisions.confirm_person("p1"), {1}),
    ],
    ids=["a name", "two are one", "a confirmation"],
)
def test_whose_faces_have_changed_is_counted(
    family: Library, say: Callable[[Decisions], object], changed: set[int]
) -> None:
    assert changed_by(family, decided(say)) == (changed, False)


def test_new_photos_change_the_library_and_who_is_on_them(family: Library) -> None:
    family.draw("new.png", (1, 0))

    def scan(app: App) -> None:
        family.scan()

    changed, is_other_library = changed_by(family, scan)
    assert is_other_library
    assert len(changed) == 1


def test_a_scan_that_finds_nothing_new_changes_nothing(family: Library) -> None:
    assert changed_by(family, lambda app: family.scan()) == (NOBODY, False)
