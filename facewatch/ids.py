"""How users see and type ids: f11 is a face, p11 a person, d11 a decision; 11 is whichever of them can be meant.

JSON and CSV have the numbers alone: there the key says what they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FACE, PERSON, _DECISION = "f", "p", "d"

_ID = re.compile(rf"([{FACE}{PERSON}]?)(\d+)", re.IGNORECASE)
_MOST = 2**63 - 1
"""SQLite has no larger number; nobody has it."""


@dataclass(frozen=True, slots=True)
class Id:
    """The id of a face or person, as somebody typed it."""

    kind: str
    """FACE or PERSON; "": it was not said."""
    number: int


def read_id(text: str) -> Id | None:
    """Return the id of a face or person that is typed so; None: it is none."""
    typed = _ID.fullmatch(text.strip())
    return Id(typed[1].lower(), _number(typed[2])) if typed else None


def read_decision(text: str) -> int | None:
    """Return the id of a decision that is typed so, d11 or 11; None: it is none."""
    digits = text.strip().lower().removeprefix(_DECISION)
    return _number(digits) if digits.isdecimal() else None


def is_decision(text: str) -> bool:
    """Whether this can only be the id of a decision."""
    return not text.strip().isdecimal() and read_decision(text) is not None


def _number(digits: str) -> int:
    return min(int(f"0{digits.lstrip('0')[:19]}"), _MOST)


def face(number: int) -> str:
    return f"{FACE}{number}"


def person(number: int) -> str:
    return f"{PERSON}{number}"


def decision(number: int) -> str:
    return f"{_DECISION}{number}"


def label_of(person_id: int) -> str:
    """Return what somebody is called whom nobody has named."""
    return f"Person {person_id:04d}"
