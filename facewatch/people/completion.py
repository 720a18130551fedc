"""Completes the name of a person while it is typed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from facewatch.people.lookup import name_key, nearest_names, without_accents
from facewatch.people.overview import PersonTile

_FEW = 3
"""With fewer people than this whose names hold the text, those with names like it are offered, too."""


@dataclass(frozen=True, slots=True)
class Completion:
    """Somebody who may be meant."""

    person: PersonTile
    is_exact: bool
    """This is the name, whole, as far as names are told apart."""


def completions(
    people: Collection[PersonTile],
    text: str,
    *,
    most: int,
    without: Collection[int] = (),
    with_unnamed: bool = False,
) -> list[Completion]:
    """Return who may be meant by what is typed so far, in the order in which they are offered.

    Whose name begins with it comes first, then who has a word that does, then who has it inside, and last names that
    are like it, as after a slip. Among these, the order of `people` stays. Without a text, all of them.

    Args:
        without: people who are not meant.
        with_unnamed: people without a name are offered, too, by their labels.
    """
    key = name_key(text)
    offered = [one for one in people if (one.is_named or with_unnamed) and one.id not in without]
    # Hidden people are offered to nobody, but their names are taken.
    exact = [one for one in offered if key and name_key(one.label) == key]
    shown = [one for one in offered if not one.is_hidden and one not in exact]
    found = [*exact, *_holding(key, shown)]
    if key and len(found) < _FEW:
        found += [one for one in _alike(key, shown) if one not in found]
    return [Completion(one, one in exact) for one in found[:most]]


def _holding(key: str, people: Collection[PersonTile]) -> list[PersonTile]:
    """Return those whose label holds a text, who begins with it first."""
    plain = without_accents(key)
    labels = [(without_accents(name_key(one.label)), one) for one in people]
    found = [(_place(plain, label), one) for label, one in labels if plain in label]
    return [one for _, one in sorted(found, key=lambda at: at[0])]


def _place(text: str, label: str) -> int:
    """Return where a label holds a text: 0 at its beginning, 1 at that of a word, 2 elsewhere."""
    return 0 if label.startswith(text) else 1 if f" {text}" in label else 2


def _alike(key: str, people: Collection[PersonTile]) -> list[PersonTile]:
    """Return those who have a name like this."""
    near = nearest_names(key, [one.label for one in people if one.is_named])
    return [one for name in near for one in people if one.label == name]
