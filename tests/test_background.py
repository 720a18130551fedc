"""Work in another process says how it ended, also where nobody foresaw that."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from facewatch.errors import NotKnownError
from facewatch.presentation.refusals import FAILED
from facewatch.presentation.status import ENDED
from facewatch.web.background import Background


def find(config: Any, report: Any) -> object:
    return 42


def ask_for_nobody(config: Any, report: Any) -> object:
    raise NotKnownError("nobody is called Anna")


def divide(config: Any, report: Any) -> object:
    return 1 / config


def die(config: Any, report: Any) -> object:
    os._exit(1)


def done(work: Any) -> Background:
    """Return how work ended that is given 0 for the settings."""

    async def wait() -> Background:
        background, ended = Background(), asyncio.Event()
        background.start(work, 0, then=ended.set)  # type: ignore[arg-type]
        while background.is_running:
            await ended.wait()
            ended.clear()
        return background

    return asyncio.run(wait())


def test_what_was_found_is_kept() -> None:
    found = done(find)
    assert (found.result, found.fault) == (42, "")


@pytest.mark.parametrize(("work", "fault"), [(divide, FAILED), (die, ENDED)])
def test_why_there_is_nothing_is_told(work: Any, fault: str) -> None:
    found = done(work)
    assert (found.result, found.fault) == (None, fault)


def test_a_fault_of_our_own_is_in_the_log_with_where_it_was(caplog: pytest.LogCaptureFixture) -> None:
    done(divide)
    assert "ZeroDivisionError" in caplog.text
    assert "in divide" in caplog.text


def test_a_refusal_is_told_as_it_is() -> None:
    assert "nobody is called Anna" in done(ask_for_nobody).fault
