"""What scripts/interop says of other programs is what is there; the programs themselves are tried by hand."""

from __future__ import annotations

from pathlib import Path

import interop
import pytest
from click.testing import CliRunner
from interop_digikam import farthest
from interop_links import PROGRAMS, Scene, try_programs
from interop_sync import try_syncing

from facewatch.types import Box


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A photo, and a link to it in somebody's folder."""
    (tmp_path / "home" / "Photos").mkdir(parents=True)
    (tmp_path / "home" / "People" / "Anna").mkdir(parents=True)
    (tmp_path / "home" / "Photos" / "a.jpg").write_bytes(b"a photo")
    (tmp_path / "home" / "People" / "Anna" / "a.jpg").symlink_to("../../Photos/a.jpg")
    return Scene(tmp_path / "home", "Anna/a.jpg", b"a photo")


def test_what_stands_where_a_link_was_is_told_apart(scene: Scene, tmp_path: Path) -> None:
    here = tmp_path / "copy" / "Anna"
    assert scene.came(scene.home / "People") == "the link, and it opens"
    assert scene.came(tmp_path / "copy") == "nothing"
    here.mkdir(parents=True)
    (here / "a.jpg").symlink_to("../../Photos/a.jpg")
    assert scene.came(tmp_path / "copy") == "the link, which leads nowhere"
    (here / "a.jpg").unlink()
    (here / "a.jpg").write_bytes(b"a photo")
    assert scene.came(tmp_path / "copy") == "the photo"
    (here / "a.jpg").write_bytes(b"")
    assert scene.came(tmp_path / "copy") == "a file of 0 bytes that is no photo"


def test_a_photo_that_was_written_over_is_told_and_put_right(scene: Scene) -> None:
    assert scene.is_kept() == "the photo itself is as it was"
    (scene.home / "Photos" / "a.jpg").write_bytes(b"another")
    assert scene.is_kept() == "THE PHOTO ITSELF IS OVERWRITTEN"
    assert (scene.home / "Photos" / "a.jpg").read_bytes() == b"a photo"


def test_a_program_really_runs(scene: Scene) -> None:
    way, _ = PROGRAMS["cp"]
    assert [came for _, came in way(scene)][-1] == "the photo"


def test_programs_that_are_not_here_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scene: Scene) -> None:
    monkeypatch.setattr("shutil.which", lambda program: None)
    monkeypatch.setattr("interop_links.make_scene", lambda folder: scene)
    assert {one.came for one in try_programs(tmp_path)} == {"not tried: it is not installed"}
    assert [one.what for one in try_syncing(tmp_path)] == ["not tried: it is not installed"] * 2
    answer = CliRunner().invoke(interop.main, ["digikam"])
    assert answer.exit_code == 1
    assert "digikam, Xvfb, xdotool, dbus-run-session, dbus-send, pgrep not found: apt install" in answer.output


def test_boxes_are_compared_by_their_edges() -> None:
    wanted = {"a.jpg": {"Anna": Box(10, 10, 20, 20)}, "b.jpg": {"Ben": Box(0, 0, 5, 5)}}
    shown = {"a.jpg": {"Anna": Box(11, 10, 21, 20)}}
    assert farthest(shown, wanted) == 2
