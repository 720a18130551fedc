"""Fixtures that keep tests honest: a private home, and the real photos where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture
def shared() -> Path:
    """The labelled and odd photos beside the checkout; a test that needs them is skipped where they are absent."""
    if not (SHARED / "photos" / "labels.csv").is_file():
        pytest.skip("needs the labelled photos in ../shared/photos")
    return SHARED


@pytest.fixture(autouse=True)
def private_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own settings and catalog."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "FACEWATCH_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def unchanged_environment(private_home: None) -> object:
    """A test must leave the environment as it found it."""
    before = dict(os.environ)
    yield
    changed = {k for k in set(before) ^ set(os.environ)} - {"PYTEST_CURRENT_TEST"}
    assert not changed, f"environment changed: {changed}"
