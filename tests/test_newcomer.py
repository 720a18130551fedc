"""The new user's clock runs, with README's own commands; how long they take is measured by scripts/newcomer alone."""

from __future__ import annotations

import shlex
from pathlib import Path

import newcomer
import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_a_new_user_has_a_folder_with_a_name_after_four_commands_at_most(tmp_path: Path) -> None:
    newcomer.make_photos(tmp_path / "Pictures", 26)
    assert len([path for path in (tmp_path / "Pictures").rglob("*") if path.is_file()]) == 26
    said: list[str] = []
    done = newcomer.walk(tmp_path, start=f"cd {shlex.quote(str(ROOT))}", say=said.append)
    assert len(done.seconds) == len(said) <= newcomer.MOST_COMMANDS
    assert done.n_links >= 4
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in list(done.seconds)[1:]:
        assert command.rsplit(" ", 2)[0] in readme
    assert "git clone REPOSITORY facewatch && cd facewatch" in readme
    assert newcomer.CLONE.endswith(" facewatch && cd facewatch")


def test_the_clock_is_missed_by_a_fifth_command_or_by_a_minute_more() -> None:
    assert newcomer.Walk({"a": 200.0, "b": 99.0}, 3).is_within
    assert not newcomer.Walk({"a": 200.0, "b": 101.0}, 3).is_within
    assert not newcomer.Walk(dict.fromkeys("abcde", 1.0), 3).is_within


def test_a_command_that_fails_stops_the_clock_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="exit code 3"):
        newcomer.walk(tmp_path, start="echo no && exit 3")
