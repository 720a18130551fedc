"""Work for all cores: each thing once, and what goes wrong comes out."""

from __future__ import annotations

import threading

import pytest

from facewatch import cores
from facewatch.cores import available_cores, on_all_cores


@pytest.mark.parametrize("n_things", [0, 1, 50])
def test_each_thing_has_its_turn_once(n_things: int) -> None:
    seen = list[int]()
    on_all_cores(seen.append, range(n_things))
    assert sorted(seen) == list(range(n_things))


def test_one_thing_needs_no_other_thread() -> None:
    seen = list[threading.Thread]()
    on_all_cores(lambda _: seen.append(threading.current_thread()), ["one"])
    assert seen == [threading.current_thread()]


def test_nothing_begins_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "available_cores", lambda: 1)
    seen = list[int]()

    def fail_at_three(number: int) -> None:
        seen.append(number)
        if number == 3:
            raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        on_all_cores(fail_at_three, range(10_000))
    assert seen == [0, 1, 2, 3]


def test_there_is_a_core() -> None:
    assert available_cores() >= 1
