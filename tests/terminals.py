"""The real program in a terminal of its own, which a test reads and types into."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from drawn import Library

CONTROLLED = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "signal.signal(signal.SIGINT, signal.SIG_DFL);"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
"""Makes its standard input the terminal that sends Ctrl-C, and hears that also where whoever runs the tests ignores it,
then becomes the program."""


class Session:
    """The real program in a terminal of its own."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self.process = process
        self._terminal = terminal
        self.seen = ""
        """All that it has written."""
        self._n_expected = 0
        """Characters of that up to the end of what was expected last."""

    def expect(self, text: str) -> None:
        """Read on until it has written this; the time only ends a test that has failed."""
        while (found := self.seen.find(text, self._n_expected)) < 0:
            assert select.select([self._terminal], [], [], 60)[0], f"no {text!r} in {self.seen!r}"
            try:
                part = os.read(self._terminal, 65536)
            except OSError:
                part = b""
            assert part, f"ended without {text!r}: {self.seen!r}"
            self.seen = (self.seen + part.decode("utf-8", errors="replace")).replace("\r\n", "\n")
        self._n_expected = found + len(text)

    def press(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def rest(self) -> str:
        """Read on until it has ended; return what it wrote since what was expected last."""
        with suppress(OSError):
            while part := os.read(self._terminal, 65536):
                self.seen += part.decode("utf-8", errors="replace")
        return self.seen[self._n_expected :]

    def end(self) -> int:
        """Return the exit code."""
        return self.process.wait(60)

    def modes(self) -> list[Any]:
        return termios.tcgetattr(self._terminal)


@contextmanager
def session(library: Library, *arguments: str, columns: int = 100, pictures: str = "none") -> Iterator[Session]:
    """Run this command on the library."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    settings = ["--catalog", str(library.catalog), "--people", str(library.people)]
    process = subprocess.Popen(
        [sys.executable, "-c", CONTROLLED, "-P", "-m", "facewatch", *arguments, *settings],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env=os.environ | {"TERM": "xterm", "FACEWATCH_PICTURES": pictures},
    )
    # Held by the program alone, so that it is seen when that ends.
    os.close(theirs)
    try:
        yield Session(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
