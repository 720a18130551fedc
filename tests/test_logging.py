"""The log: one line a fact, for people, for journald and for programs, whatever a photo is called."""

from __future__ import annotations

import io
import json
import logging
import os
import pickle
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from drawn import Library
from hypothesis import given
from hypothesis import strategies as st

from facewatch.errors import ConfigError
from facewatch.logs import JournalFormatter, formatter_for, is_journal
from facewatch.text import is_harmless

HOSTILE = "/photos/\x1b[2J\nERROR the disk is full\r\u202egnp." + os.fsdecode(b"\xff\xfe")

PHOTO = {
    "path": "/photos/a.jpg",
    "kind": "new",
    "n_faces": 3,
    "n_assigned": 2,
    "ms": 41.5,
    "fault": None,
    "advice": None,
}

FORMS = [(is_json, is_in_journal) for is_json in (False, True) for is_in_journal in (False, True)]


def record_of(message: str, *arguments: object, level: int = logging.INFO, **extra: Any) -> logging.LogRecord:
    record = logging.LogRecord("facewatch.service", level, "", 0, message, arguments, None)
    record.__dict__.update(extra)
    return record


def broken_record() -> logging.LogRecord:
    """A fault of the program."""
    try:
        raise ValueError("broken")
    except ValueError:
        record = record_of("it failed", level=logging.ERROR)
        record.exc_info = sys.exc_info()
    return record


def line_of(record: logging.LogRecord, *, is_json: bool = False, is_journal: bool = False) -> str:
    return formatter_for(is_daemon=True, is_json=is_json, is_journal=is_journal).format(record)


@pytest.fixture
def facewatch_log() -> logging.Logger:
    """The program's logger."""
    return logging.getLogger("facewatch")


# --- for programs ---


def test_a_line_of_json_has_time_level_logger_and_message() -> None:
    record = record_of("%s: %d face(s)", "/photos/a.jpg", 3)
    record.created = 1795348800.1234
    facts = json.loads(line_of(record, is_json=True))
    assert facts == {
        "time": "2026-11-22T12:00:00.123Z",
        "level": "info",
        "logger": "facewatch.service",
        "message": "/photos/a.jpg: 3 face(s)",
    }
    assert datetime.fromisoformat(facts["time"]).tzinfo is not None


def test_what_is_known_of_a_photo_stands_key_by_key() -> None:
    facts = json.loads(line_of(record_of("a line", photo=PHOTO), is_json=True))
    assert {key: facts[key] for key in PHOTO} == PHOTO
    assert facts["message"] == "a line"


def test_a_photo_cannot_pass_for_something_else() -> None:
    facts = json.loads(line_of(record_of("true", photo={"message": "false", "level": "debug"}), is_json=True))
    assert (facts["message"], facts["level"]) == ("true", "info")


def test_the_lines_for_people_do_not_show_the_keys() -> None:
    assert line_of(record_of("a line", photo=PHOTO)).endswith(" INFO a line")


def test_a_fault_of_the_program_is_in_the_same_line_of_json() -> None:
    record = broken_record()
    line = line_of(record, is_json=True)
    assert "\n" not in line
    assert "ValueError: broken" in json.loads(line)["exception"]


# --- whatever it is called ---


@given(name=st.one_of(st.text(st.characters(codec=None, exclude_categories=())), st.just(HOSTILE)))
def test_no_name_breaks_a_line(name: str) -> None:
    record = record_of("%s: known content", name, photo=PHOTO | {"path": name})
    for is_json, is_in_journal in FORMS:
        line = line_of(record, is_json=is_json, is_journal=is_in_journal)
        assert len(line.splitlines()) == 1
        assert all(map(is_harmless, line))
        # As stderr writes it, with whatever encoding.
        line.encode("ascii", "backslashreplace")
        if is_json:
            text = line.removeprefix("<6>") if is_in_journal else line
            json.loads(text)["path"].encode("utf-8")


@pytest.mark.parametrize("is_in_journal", [True, False])
def test_a_list_of_faults_is_one_line_that_can_be_read(is_in_journal: bool) -> None:
    fault = ConfigError("settings.toml", ["watch.hours: no time", "typo: unknown"])
    line = line_of(record_of("%s\nuse --config\n", fault), is_journal=is_in_journal)
    assert line.endswith("settings.toml: 2 problems; watch.hours: no time; typo: unknown; use --config")


# --- for journald ---


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, 7), (logging.INFO, 6), (logging.WARNING, 4), (logging.ERROR, 3), (logging.CRITICAL, 2)],
)
def test_in_the_journal_a_line_has_its_priority_and_no_time(level: int, priority: int) -> None:
    assert line_of(record_of("a line", level=level), is_journal=True) == f"<{priority}>a line"
    text = line_of(record_of("a line", level=level), is_journal=True, is_json=True)
    assert json.loads(text.removeprefix(f"<{priority}>"))["message"] == "a line"


def test_every_line_of_a_traceback_has_the_priority() -> None:
    record = broken_record()
    lines = line_of(record, is_journal=True).split("\n")
    assert len(lines) > 3
    assert all(line.startswith("<3>") for line in lines)


def test_the_journal_is_where_systemd_says_that_stderr_leads(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w") as file:
        status = os.fstat(file.fileno())
        right = f"{status.st_dev}:{status.st_ino}"
        assert is_journal({"JOURNAL_STREAM": right}, file.fileno())
        # A child whose stderr was sent elsewhere inherits the variable.
        assert not is_journal({"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"}, file.fileno())
        assert not is_journal({"JOURNAL_STREAM": "nonsense"}, file.fileno())
        assert not is_journal({}, file.fileno())
        closed = os.dup(file.fileno())
    os.close(closed)
    assert not is_journal({"JOURNAL_STREAM": right}, closed)


# --- where it is set ---


@pytest.mark.parametrize(("is_json", "is_in_journal"), FORMS)
def test_worker_processes_can_speak_alike(is_json: bool, is_in_journal: bool) -> None:
    formatter = formatter_for(is_daemon=True, is_json=is_json, is_journal=is_in_journal)
    handed_over = pickle.loads(pickle.dumps(formatter))
    record = record_of("%s: slow", "a.jpg", level=logging.WARNING)
    assert handed_over.format(record) == formatter.format(record)


@pytest.mark.parametrize("arguments", [["--log-json", "scan", "-v"], ["scan", "-v", "--log-json"]])
def test_the_option_may_stand_before_and_behind_the_command(
    library: Library, run: Any, facewatch_log: logging.Logger, arguments: list[str]
) -> None:
    library.draw("a.png", (1, 0))
    library.scan()
    (library.photos / "bad.jpg").write_bytes(b"no photo")
    answer = run(*arguments)
    assert answer.code == 0
    lines = [json.loads(line) for line in answer.err.splitlines()]
    [bad] = [line for line in lines if "bad.jpg" in line["message"]]
    assert bad["level"] == "warning"
    assert bad["logger"] == "facewatch.pipeline"


def test_without_the_option_lines_are_for_people(library: Library, run: Any, facewatch_log: logging.Logger) -> None:
    library.draw("a.png", (1, 0))
    library.scan()
    (library.photos / "bad.jpg").write_bytes(b"no photo")
    assert run("scan", "--log-json").err.startswith("{")
    (library.photos / "worse.jpg").write_bytes(b"no photo either")
    # What one command was told is not what the next one in the same process does.
    assert run("scan").err.startswith("WARNING: worse.jpg: ")


def test_under_systemd_the_log_is_for_the_journal(library: Library, tmp_path: Path) -> None:
    library.draw("a.png", (1, 0))
    library.scan()
    (library.photos / "bad.jpg").write_bytes(b"no photo")
    command = [sys.executable, "-P", "-m", "facewatch", "scan"]
    settings = ["--catalog", str(library.catalog), "--people", str(library.people)]
    with (tmp_path / "journal").open("w") as file:
        status = os.fstat(file.fileno())
        environment = os.environ | {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        subprocess.run([*command, *settings], stderr=file, stdout=subprocess.DEVNULL, env=environment, check=True)
    [line] = (tmp_path / "journal").read_text().splitlines()
    assert line.startswith("<4>bad.jpg: ")


def test_a_line_with_bytes_that_are_no_text_is_written_all_the_same() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JournalFormatter(formatter_for(is_daemon=False, is_json=True, is_journal=False)))
    handler.handle(record_of("%s: known content", HOSTILE, photo=PHOTO | {"path": HOSTILE}))
    stream.seek(0)
    assert json.loads(stream.read().removeprefix("<6>"))["path"].startswith("/photos/")
