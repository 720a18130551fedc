"""A library of drawn faces: people are squares of one colour (see facewatch.engines.fake)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from facewatch.app import App
from facewatch.config import load_config
from facewatch.engines import fake
from facewatch.indexing.analyzer import Recipe
from facewatch.indexing.pool import InlineWorkers
from facewatch.types import Engine


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
        arguments.setdefault("workers", InlineWorkers(Recipe(engine.info.name), engine))
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
            elif path.is_file() and path.name not in (".facewatch", "Everybody.html"):
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
