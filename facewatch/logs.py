"""How lines of the log look: for people, for programs, for systemd's journal. Worker processes speak alike."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from facewatch.called import as_called
from facewatch.text import printable, whole_text

PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""What syslog and journald call the levels."""


class PlainFormatter(logging.Formatter):
    """A line for people. What a name holds cannot begin a line of its own or move the cursor."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(as_called(one_line(super().formatMessage(record))))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and what a photo's line is about, key by key."""

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        photo = getattr(record, "photo", None)
        if isinstance(photo, Mapping):
            facts |= {key: value for key, value in photo.items() if key not in facts}
        whole = {key: whole_text(value) if isinstance(value, str) else value for key, value in facts.items()}
        # As ASCII: no name can break the line, whatever reads it.
        return json.dumps(whole, default=str)


class JournalFormatter(logging.Formatter):
    """Lines of another formatter, each with its priority in front, as journald reads them from a service's stderr."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{PRIORITIES.get(record.levelno, 5)}>"
        return "\n".join(prefix + line for line in self._inner.format(record).split("\n"))


def formatter_for(*, is_daemon: bool, is_json: bool, is_journal: bool) -> logging.Formatter:
    """Return how lines look. It can be pickled, so that worker processes speak alike."""
    if is_json:
        inner: logging.Formatter = JsonFormatter()
    elif is_journal:
        # The journal knows when, and the priority says how grave.
        inner = PlainFormatter("%(message)s")
    else:
        inner = PlainFormatter("%(asctime)s %(levelname)s %(message)s" if is_daemon else "%(levelname)s: %(message)s")
    return JournalFormatter(inner) if is_journal else inner


def is_journal(environment: Mapping[str, str], descriptor: int) -> bool:
    """Whether a descriptor leads to the journal: systemd says to which device and inode it connected stderr."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def one_line(text: str) -> str:
    """Return text of several lines, such as a list of faults, as one."""
    return text.strip("\n").replace("\n- ", "; ").replace("\n", "; ")
