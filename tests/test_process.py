"""sd_notify: what a service manager's socket receives, and that nothing ever depends on it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewatch.watcher.process import MAX_STATUS, Notifier


class Manager:
    """The manager's end of the socket."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)
        self.address = address

    def heard(self) -> list[str]:
        """Return what came since the last time."""
        messages = []
        while True:
            try:
                messages.append(self.socket.recv(65_536).decode("utf-8"))
            except BlockingIOError:
                return messages


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    # A socket's path may have only about 100 characters, and tmp_path can be longer.
    name = f"{tmp_path}/notify" if len(str(tmp_path)) < 90 else f"@facewatch-test-{os.getpid()}"
    listening = Manager(name)
    yield listening
    listening.socket.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract sockets")
def test_an_abstract_socket_is_reached(tmp_path: Path) -> None:
    manager = Manager(f"@facewatch-{os.getpid()}-{tmp_path.name}")
    try:
        Notifier({"NOTIFY_SOCKET": manager.address}).ready()
        assert manager.heard() == ["READY=1"]
    finally:
        manager.socket.close()


def test_a_whole_life_is_told(manager: Manager) -> None:
    now = [12.5]
    notifier = Notifier({"NOTIFY_SOCKET": manager.address}, clock=lambda: now[0])
    notifier.status("comparing 3 libraries")
    notifier.ready()
    notifier.reloading()
    notifier.ready()
    notifier.stopping()
    assert manager.heard() == [
        "STATUS=comparing 3 libraries",
        "READY=1",
        "RELOADING=1\nMONOTONIC_USEC=12500000",
        "READY=1",
        "STOPPING=1",
    ]


def test_a_status_that_stays_the_same_is_sent_once(manager: Manager) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.address})
    for text in ("idle", "idle", "3 photos to go", "idle"):
        notifier.status(text)
    assert manager.heard() == ["STATUS=idle", "STATUS=3 photos to go", "STATUS=idle"]


@given(text=st.text(st.characters(), max_size=700))
def test_no_text_can_forge_another_message(text: str) -> None:
    manager = Manager(f"@facewatch-forge-{os.getpid()}") if sys.platform == "linux" else None
    if manager is None:
        pytest.skip("needs abstract sockets, so that examples do not share a file")
    try:
        Notifier({"NOTIFY_SOCKET": manager.address}).status(text)
        [message] = manager.heard()
    finally:
        manager.socket.close()
    assert message.startswith("STATUS=")
    assert "\n" not in message
    assert len(message) <= MAX_STATUS + len("STATUS=")


def test_the_watchdog_is_fed_only_as_often_as_is_wanted(manager: Manager) -> None:
    now = [0.0]
    notifier = Notifier({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "60000000"}, clock=lambda: now[0])
    notifier.ready()
    for second in range(121):
        now[0] = float(second)
        notifier.watchdog()
    pings = [message for message in manager.heard() if message == "WATCHDOG=1"]
    # The first at once, then not farther apart than half of the time, whenever it is that one is asked for.
    assert 5 <= len(pings) <= 9


@given(
    usec=st.integers(min_value=1_000, max_value=600_000_000),
    pauses=st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=30),
)
def test_whoever_calls_in_time_is_never_taken_for_hung(usec: int, pauses: list[float]) -> None:
    now, sent = [100.0], []

    class Watching(Notifier):
        def _send(self, *lines: str) -> None:
            sent.append(now[0])

    notifier = Watching({"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": str(usec)}, clock=lambda: now[0])
    # Half of the time after which it counts as hung, as sd_watchdog_enabled(3) wants it.
    for pause in (0.0, *pauses):
        now[0] += pause * usec / 2e6
        notifier.watchdog()
    gaps = [later - earlier for earlier, later in zip(sent, [*sent[1:], now[0]], strict=True)]
    assert max(gaps) * 1e6 < usec


def test_the_time_to_start_and_to_stop_grows_while_the_service_lives(manager: Manager) -> None:
    now = [0.0]
    notifier = Notifier({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "1000000"}, clock=lambda: now[0])
    for step in (notifier.watchdog, notifier.ready, notifier.watchdog, notifier.stopping, notifier.watchdog):
        now[0] += 1
        step()
    alive = "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=1000000"
    assert manager.heard() == [alive, "READY=1", "WATCHDOG=1", "STOPPING=1", alive]


def test_long_work_is_announced_and_the_patience_ends_with_it(manager: Manager) -> None:
    now = [0.0]
    notifier = Notifier({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "60000000"}, clock=lambda: now[0])
    notifier.ready()
    for silent_seconds in (0, 900, 900, 0, 0):
        notifier.watchdog(silent_seconds)
        now[0] += 1
    assert manager.heard() == [
        "READY=1",
        "WATCHDOG=1",
        "WATCHDOG=1\nWATCHDOG_USEC=900000000",
        # Another piece of long work has as long again.
        "WATCHDOG=1",
        "WATCHDOG=1\nWATCHDOG_USEC=60000000",
    ]


def test_work_shorter_than_the_watchdog_needs_no_patience(manager: Manager) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "60000000"}, clock=lambda: 0.0)
    notifier.ready()
    notifier.watchdog(30)
    assert manager.heard() == ["READY=1", "WATCHDOG=1"]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": ""},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "-5"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"},
    ],
)
def test_without_a_watchdog_of_its_own_none_is_fed(manager: Manager, environment: dict[str, str]) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.address, **environment}, pid=77)
    notifier.watchdog()
    assert not manager.heard()


def test_the_watchdog_of_this_very_process_is_fed(manager: Manager) -> None:
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "77"}
    Notifier(environment, pid=77, clock=lambda: 0.0).watchdog()
    [message] = manager.heard()
    assert message.startswith("WATCHDOG=1")


@pytest.mark.parametrize(
    "named",
    [
        *("", "@", "relative/socket", "vsock:2:1234"),
        *("/nowhere/at/all", "/dev/null", "/" + "x" * 300, "/with\0zero", "@facewatch-nobody-listens"),
    ],
)
def test_a_socket_that_cannot_be_reached_does_no_harm(named: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": named, "WATCHDOG_USEC": "1000000"})
    for step in (notifier.ready, notifier.watchdog, notifier.reloading, notifier.stopping):
        step()
    notifier.status("all is well")


def test_a_manager_that_does_not_listen_cannot_hold_the_service_up(manager: Manager) -> None:
    # A full queue: each message that does not fit is dropped, after a second at the most.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as full:
        full.setblocking(False)
        full.connect(manager.address)
        with suppress(BlockingIOError):
            for _ in range(100_000):
                full.send(b"X=1")
        with pytest.raises(BlockingIOError):
            full.send(b"X=1")
    Notifier({"NOTIFY_SOCKET": manager.address}).ready()
    assert "READY=1" not in manager.heard()


def test_children_cannot_speak_for_the_service(manager: Manager) -> None:
    environment = {**os.environ, "NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
    Notifier(environment, pid=1).ready()
    code = "import os; print([name for name in os.environ if name.startswith(('NOTIFY', 'WATCHDOG'))])"
    child = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert child.stdout == "[]\n"
    assert manager.heard() == ["READY=1"]


def test_where_no_manager_is_nothing_is_told() -> None:
    sent: list[str] = []

    class Watching(Notifier):
        def _send(self, *lines: str) -> None:
            sent.extend(lines)
            super()._send(*lines)

    notifier = Watching({"WATCHDOG_USEC": "1000000"})
    notifier.watchdog()
    assert not sent
    notifier.ready()
    assert sent == ["READY=1"]
