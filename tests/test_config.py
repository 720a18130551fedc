"""The settings file: found, checked as a whole, and documented by its reference."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewatch.config import (
    SETTINGS,
    Config,
    default_catalog,
    find_config_file,
    load_config,
    reference_toml,
    user_config_file,
)
from facewatch.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent


def load(tmp_path: Path, text: str, **overrides: object) -> Config:
    file = tmp_path / "facewatch.toml"
    file.write_text(text, encoding="utf-8")
    return load_config(file, overrides, cwd=tmp_path)


def test_the_reference_at_the_top_level_is_the_one_that_the_program_writes() -> None:
    assert (ROOT / "facewatch.toml").read_text(encoding="utf-8") == reference_toml()


def test_the_reference_is_valid_and_holds_every_default(tmp_path: Path) -> None:
    config = load(tmp_path, reference_toml())
    for setting in SETTINGS:
        value = config[setting.name]
        assert (tuple(value) if isinstance(value, list) else value) == setting.default


def test_without_a_file_the_catalog_is_in_the_users_data_folder(tmp_path: Path) -> None:
    config = load_config(None, {"library.photos": "Photos"}, cwd=tmp_path)
    assert config.photos == (tmp_path / "Photos",)
    assert config.catalog == default_catalog()
    assert config.people is None


def test_all_problems_are_reported_at_once_each_with_its_key_and_what_would_be_right(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(
            tmp_path,
            '[library]\nphtos = "x"\n[watch]\nsettle_seconds = "soon"\npoll = "never"\n'
            '[folders]\nlinks = "copy"\n[nonsense]\n',
        )
    text = str(caught.value)
    assert "5 problems" in text
    assert "unknown setting library.phtos; did you mean library.photos?" in text
    assert "watch.settle_seconds = 'soon': must be a number from 0.1 to 600" in text
    assert 'watch.poll = \'never\': must be one of "auto", "always"' in text
    assert "unknown setting folders.links; did you mean folders.link?" in text
    assert "unknown setting nonsense" in text


@pytest.mark.parametrize(
    ("content", "expected"), [(b"photos = ", "not TOML"), (b"\xff\xfe\x00", "not UTF-8"), (b"\0", "not TOML")]
)
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "facewatch.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=expected):
        load_config(file, {}, cwd=tmp_path)


def test_true_is_not_a_number(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be a whole number"):
        load(tmp_path, "[engine]\nworkers = true\n")


def test_flags_win_over_the_file_and_are_relative_to_where_they_were_typed(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    file = tmp_path / "etc" / "facewatch.toml"
    file.write_text('[library]\nphotos = "pictures"\npeople = "who"\n')
    config = load_config(file, {"library.people": "elsewhere"}, cwd=tmp_path)
    assert config.photos == (tmp_path / "etc" / "pictures",)
    assert config.people == tmp_path / "elsewhere"


def test_a_wrong_flag_is_refused_like_a_wrong_line_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'engine.name = .deep.: must be "face_recognition", or'):
        load_config(None, {"engine.name": "deep"}, cwd=tmp_path)


def test_several_libraries_may_be_named(tmp_path: Path) -> None:
    config = load(tmp_path, '[library]\nphotos = ["a", "/b"]\n')
    assert config.photos == (tmp_path / "a", Path("/b"))


def test_the_file_is_looked_for_in_the_promised_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, from_environment, here, users = (
        tmp_path / "named.toml",
        tmp_path / "environment.toml",
        tmp_path / "here" / "facewatch.toml",
        user_config_file(),
    )
    for file in (named, from_environment, here, users):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    monkeypatch.setenv("FACEWATCH_CONFIG", str(from_environment))
    assert find_config_file(named, cwd=here.parent) == named
    assert find_config_file(None, cwd=here.parent) == from_environment
    monkeypatch.delenv("FACEWATCH_CONFIG")
    assert find_config_file(None, cwd=here.parent) == here
    assert find_config_file(None, cwd=tmp_path) == users
    users.unlink()
    assert find_config_file(None, cwd=tmp_path) is None


def test_a_named_file_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file; `facewatch init PHOTOS` writes one"):
        find_config_file(tmp_path / "none.toml", cwd=tmp_path)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_folder_name_survives_being_written_and_read(name: str) -> None:
    written = reference_toml({"library.people": name, "library.exclude": [name]})
    read = tomllib.loads(written)
    assert read["library"]["people"] == name
    assert read["library"]["exclude"] == [name]
