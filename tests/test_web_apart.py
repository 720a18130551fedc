"""What takes long is read by a process beside the server, which comes and goes as it is needed."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import psutil
import pytest
from browsers import wait_until
from drawn import Library

from facewatch.app import App
from facewatch.errors import EngineError, NotKnownError
from facewatch.presentation.status import ENDED
from facewatch.web.access import LONG_SECONDS, Access
from facewatch.web.apart import NICENESS, Reader

T = TypeVar("T")


def n_people(app: App) -> int:
    return len(app.catalog.people.names())


def own_id(app: App) -> int:
    return os.getpid()


def ask_for_nobody(app: App) -> None:
    raise NotKnownError("nobody is called Zoe")


def write(app: App) -> None:
    app.catalog.settings.set("engine", "another")


def die(app: App) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def never_end(app: App) -> None:
    threading.Event().wait()


@pytest.fixture
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


def read(reader: Reader, library: Library, *works: Callable[[App], T]) -> list[T]:
    with library.app() as app:
        config = app.config

    async def all_of_them() -> list[T]:
        return [await reader.run(config, work) for work in works]

    return asyncio.run(all_of_them())


def test_the_process_reads_what_is_in_the_catalog_by_then(reader: Reader, family: Library) -> None:
    before = read(reader, family, n_people)
    with family.app() as app:
        app.corrections.rename("p3", "Carl")
    assert (before, read(reader, family, n_people)) == ([2], [3])


def test_one_process_does_all_and_gives_way_to_the_page(reader: Reader, family: Library) -> None:
    one, again = read(reader, family, own_id, own_id)
    assert one == again != os.getpid()
    assert psutil.Process(one).nice() == min(19, psutil.Process().nice() + NICENESS)


def test_a_refusal_is_told_as_it_is_and_the_process_stays(reader: Reader, family: Library) -> None:
    [before] = read(reader, family, own_id)
    with pytest.raises(EngineError, match="nobody is called Zoe"):
        read(reader, family, ask_for_nobody)
    assert read(reader, family, own_id) == [before]


def test_it_only_reads(reader: Reader, family: Library) -> None:
    with pytest.raises(EngineError, match="cannot be written"):
        read(reader, family, write)


def test_whoever_ends_the_process_is_told_of_and_the_next_work_is_done_by_another(
    reader: Reader, family: Library
) -> None:
    with pytest.raises(EngineError, match=ENDED):
        read(reader, family, die)
    assert read(reader, family, n_people) == [2]


def test_the_process_ends_when_it_has_had_nothing_to_do_for_a_while(reader: Reader, family: Library) -> None:
    [process] = read(reader, family, own_id)
    reader.let_go(idle_seconds=60)
    assert psutil.pid_exists(process)
    reader.let_go(idle_seconds=-1)
    assert not psutil.pid_exists(process)


def test_closing_the_page_ends_what_is_under_way(reader: Reader, family: Library) -> None:
    def ask() -> None:
        with pytest.raises(EngineError, match=ENDED):
            read(reader, family, never_end)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: reader._child is not None)
    reader.close()
    asking.join(timeout=20)
    assert not asking.is_alive()


def test_only_what_took_long_is_read_apart(family: Library) -> None:
    async def both() -> tuple[int, int]:
        access = Access(family.app)
        found = [(await access.read_apart(own_id, took=seconds))[0] for seconds in (LONG_SECONDS / 2, LONG_SECONDS)]
        await asyncio.to_thread(access.close)
        return found[0], found[1]

    here, apart = asyncio.run(both())
    assert here == os.getpid() != apart
