"""Finds photos, a page at a time, and knows which of them cannot be opened now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from facewatch.catalog import Catalog, display
from facewatch.catalog.photos import FoundPhoto, PhotoFile, PhotoQuery, PhotoTotals
from facewatch.folders.model import WantedLink
from facewatch.library.roots import Libraries
from facewatch.people.photos.query import photo_query
from facewatch.people.photos.words import QueryWord

PHOTOS_AT_ONCE = 1000
"""Photos whose facts are read together when all are wanted."""


@dataclass(frozen=True, slots=True)
class OfflinePlaces:
    """Libraries that are offline, and folders of them on which a drive was mounted."""

    reasons: Mapping[str, str]
    """By their paths."""

    def holds(self, file: PhotoFile) -> bool:
        """Whether a file cannot be opened now."""
        return self.reason(file) is not None

    def reason(self, file: PhotoFile) -> str | None:
        """Return why a file cannot be opened now; None: it can, as far as is known."""
        reasons = self.reasons.items()
        return next((why for at, why in reasons if file.root == at or file.path.startswith(f"{at}/")), None)

    def is_offline(self, photo: FoundPhoto) -> bool:
        """Whether no file of a photo can be opened now, though the catalog knows some."""
        return bool(photo.files) and all(map(self.holds, photo.files))

    def best_file(self, photo: FoundPhoto) -> PhotoFile | None:
        """Return a file of the photo, one that can be opened if there is one; None: it was deleted."""
        return next((file for file in photo.files if not self.holds(file)), next(iter(photo.files), None))

    def link_to(self, photo: FoundPhoto) -> WantedLink:
        """Return what a link to a photo may stand for: its files, those first that can be opened."""
        files = sorted(photo.files, key=self.holds)
        return WantedLink(photo.id, tuple(file.path for file in files))


@dataclass(frozen=True, slots=True)
class PhotoPage:
    """Some of the photos that a search finds, the newest first."""

    photos: tuple[FoundPhoto, ...]
    next_after: int | None
    """The photo after which the next page begins; None: these are the last."""


class PhotoFinder:
    """Finds photos in a catalog."""

    def __init__(self, catalog: Catalog, libraries: Libraries) -> None:
        self._catalog = catalog
        self._libraries = libraries

    def understand(self, words: Sequence[QueryWord] | str, *, here: Path | None = None) -> PhotoQuery:
        """See `photo_query`."""
        with self._catalog.read():
            return photo_query(self._catalog, words, here=here)

    def page(self, query: PhotoQuery, *, most: int, after: int | None = None) -> PhotoPage:
        """Return photos that a query finds, as many at most; those after this one, if there is one."""
        with self._catalog.read():
            photos = self._catalog.photo_search.ids(query, most=most + 1, after=after)
            found = self._catalog.photo_search.found(photos[:most])
        return PhotoPage(tuple(found), photos[most - 1] if len(photos) > most else None)

    def all(self, query: PhotoQuery, *, most: int | None = None) -> Iterator[FoundPhoto]:
        """Yield all that a query finds, or as many."""
        search = self._catalog.photo_search
        with self._catalog.read():
            photos = search.ids(query, most=-1 if most is None else most)
            for start in range(0, len(photos), PHOTOS_AT_ONCE):
                yield from search.found(photos[start : start + PHOTOS_AT_ONCE])

    def totals(self, query: PhotoQuery) -> PhotoTotals:
        """Return how many photos a query finds, and how many it does not because they are deleted, or have no date."""
        with self._catalog.read():
            return self._catalog.photo_search.totals(query)

    def folder_names(self) -> tuple[str, ...]:
        """Return the names of all folders of the libraries, and of the libraries, each once, as they can be shown."""
        search = self._catalog.photo_search
        with self._catalog.read():
            names = {path.rpartition("/")[2] for paths in search.folders().values() for path in paths}
            names |= {root.name for root in search.roots().values()}
        return tuple(sorted(display(name) for name in names if name))

    def offline(self) -> OfflinePlaces:
        """Return which libraries are offline, by a quick check."""
        reasons: dict[str, str] = {}
        for root in self._catalog.photo_search.roots().values():
            reasons |= self._libraries.offline(root)
        return OfflinePlaces(reasons)
