"""A library of drawn faces: people are squares of one colour (see facewatch.engines.fake)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from facewatch.app import App
from facewatch.checks.audit import check_folder
from facewatch.config import load_config
from facewatch.engines import fake
from facewatch.indexing.analyzer import Recipe
from facewatch.indexing.pool import InlineWorkers
from facewatch.types import Engine

FAMILY = {
    "a": [(1, 0), (2, 0)],
    "b": [(1, 1)],
    "c": [(2, 1)],
    "d": [(2, 2)],
    "e": [(3, 0)],
    "f": [(3, 1)],
    "g": [(4, 0)],
}
"""Two photos of person 1, three of person 2, one with both; two of person 3, one of person 4."""

TWO_AND_A_STRANGER = {"a": [(1, 0), (2, 0)], "b": [(1, 1)], "sub/c": [(2, 1), (9, 0)]}
"""Two people in two photos each, and one stranger."""


class CountingEngine(fake.FakeEngine):
    """Counts the photos that were analysed."""

    n = 0

    def analyse(self, pixels: Any, **closer: Any) -> Any:
        self.n += 1
        return super().analyse(pixels, **closer)


@dataclass
class Library:
    """A library of drawn photos in a temporary folder, with a service that analyses them in this process."""

    base: Path
    photos: Path
    people: Path
    catalog: Path

    def draw(self, name: str, *faces: tuple[int, int], shade: int = 200) -> Path:
        """Store a photo with these (person, look) squares; an old time lets it settle at once."""
        path = self.photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(fake.draw(faces, shade=shade)).save(path, format="PNG")
        long_ago = time.time() - 3600
        os.utime(path, (long_ago, long_ago))
        return path

    def draw_all(self, photos: Mapping[str, Iterable[tuple[int, int]]]) -> None:
        """Store photos of these names (without .png) with these faces each."""
        for name, faces in photos.items():
            self.draw(f"{name}.png", *faces)

    def draw_looks(self, person: int, n_photos: int, prefix: str = "") -> None:
        """Store photos of one person, each with another look: 0.png, 1.png... behind this prefix."""
        self.draw_all({f"{prefix}{look}": [(person, look)] for look in range(n_photos)})

    def app(self, settings: Mapping[str, Any] | None = None, **arguments: Any) -> App:
        config = load_config(
            None,
            {
                "library.photos": str(self.photos),
                "library.people": str(self.people),
                "library.catalog": str(self.catalog),
            }
            | dict(settings or {}),
            cwd=self.base,
        )
        engine: Engine = arguments.pop("engine", fake.FakeEngine())
        here = InlineWorkers(Recipe(engine.info.name), engine)
        arguments = {"workers": here, "cutters": here} | arguments
        return App(config, info=engine.info, **arguments)

    def scan(self, **settings: Any) -> Any:
        """Scan once with a service of its own, as a new process would."""
        with self.app(settings) as app:
            return app.pipeline.scan()

    def tree(self) -> dict[str, str]:
        """Return what stands in the people folder: path -> where it leads; "" for what is no link."""
        found = {}
        for path in sorted(self.people.rglob("*")):
            if path.is_symlink():
                found[str(path.relative_to(self.people))] = str(path.resolve().relative_to(self.photos.resolve()))
            elif path.is_file() and path.name not in (".facewatch", ".facewatch.extras", "Everybody.html"):
                found[str(path.relative_to(self.people))] = ""
        return found

    def groups(self) -> list[set[str]]:
        """Return the photos of each folder, without the folders' names."""
        by_folder: dict[str, set[str]] = {}
        for link, photo in self.tree().items():
            by_folder.setdefault(link.rpartition("/")[0], set()).add(photo)
        return sorted(by_folder.values(), key=sorted)


def make_library(base: Path) -> Library:
    """Return a library below a folder, for tests that need more than one."""
    photos = base / "Photos"
    photos.mkdir(parents=True)
    return Library(base, photos, base / "People", base / "data" / "catalog.sqlite")


def decided(app: App) -> list[str]:
    """Return what was decided because of the people folder."""
    return [entry.action for entry in app.catalog.journal.entries() if entry.details.get("source") == "folder"]


def sync_people(library: Library, settings: Mapping[str, Any], **arguments: Any) -> list[str]:
    """Sync the people folder, which then is as it should be, and return what was ever decided because of it."""
    with library.app(settings, **arguments) as app:
        assert app.folder.sync().faults == ()
        assert app.folder.plan().is_empty
        assert app.folder.outdated() == set()
        assert check_folder(app.catalog, app.folder) == []
        return decided(app)
