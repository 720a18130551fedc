"""Reads what files in and beside photos say about the people in them, once, and again only when it has changed.

The scan and the watcher keep every file of a library on record, sidecars, too: which of them were not read as they are
now is a question to the catalog.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

from facewatch.catalog import Catalog, display
from facewatch.catalog.beside import FolderOf, UnreadFile
from facewatch.catalog.files import FOLDERS_READ_AT
from facewatch.catalog.metadata import MetadataKind
from facewatch.errors import PhotoError
from facewatch.indexing import names_in_folders
from facewatch.types import FileSays, OnDemand

if TYPE_CHECKING:
    from facewatch.indexing.pool import Workers

log = logging.getLogger(__name__)

READ_TOGETHER = 64
"""Files that are recorded in one transaction."""

_OF_FOLDERS = (MetadataKind.PICASA, MetadataKind.TAKEOUT)
"""Files that speak of photos in their folder."""

_CONTACTS = "picasa_contacts"
"""The setting that keeps which lists of contacts were read."""


class NamesReader:
    """Brings what files say about people into the catalog."""

    def __init__(self, catalog: Catalog, workers: OnDemand[Workers], kinds: frozenset[MetadataKind]) -> None:
        """`kinds`: the files that are read; none: nothing is."""
        self._catalog = catalog
        self._workers = workers
        self._kinds = kinds
        self._contacts = OnDemand[Mapping[str, str]](dict)

    def read(self) -> Iterator[int]:
        """Read what is new; yields how many files were read so far, after each transaction.

        A file that is gone, changed or unreadable is passed over: the next call tries it again. Closing the generator
        stops after what is recorded.
        """
        n_read, started, are_all_read = 0, self._catalog.now(), True
        self._contacts = self._picasas_contacts()
        folders = self._changed_folders()
        beside = self._beside(folders)
        for start in range(0, len(beside), READ_TOGETHER):
            files: Sequence[UnreadFile] = beside[start : start + READ_TOGETHER]
            are_all_read &= self._record(files)
            n_read += len(files)
            yield n_read
        if self._kinds:
            with self._catalog.write():
                self._catalog.beside.forget_gone()
                if are_all_read and (folders is None or folders) and self._kinds.issuperset(_OF_FOLDERS):
                    self._catalog.settings.set(FOLDERS_READ_AT, started)
        for files in self._photos():
            self._record(files)
            n_read += len(files)
            yield n_read

    def describe(self, photos: Collection[int]) -> None:
        """Look how these photos are turned, where nobody has looked yet; one that cannot be read is passed over."""
        wanted = sorted(photos)
        for start in range(0, len(wanted), READ_TOGETHER):
            these = wanted[start : start + READ_TOGETHER]
            self._record(self._catalog.beside.undescribed(most=READ_TOGETHER, these=these))

    def _changed_folders(self) -> set[FolderOf] | None:
        """The folders in which anything changed since all files that speak of photos by their names were read; None:
        they were not yet."""
        since = self._catalog.settings.get(FOLDERS_READ_AT)
        return self._catalog.beside.changed_since(since) if since else None

    def _beside(self, folders: set[FolderOf] | None) -> list[UnreadFile]:
        sidecars = self._catalog.beside.unread_sidecars() if MetadataKind.SIDECAR in self._kinds else []
        by_folder = (kind for kind in _OF_FOLDERS if kind in self._kinds)
        found = (names_in_folders.unread(self._catalog, kind, folders) for kind in by_folder)
        return [*sidecars, *(file for files in found for file in files)]

    def _picasas_contacts(self) -> OnDemand[Mapping[str, str]]:
        """The names in Picasa's lists of contacts, by their ids; where a list is new all that refers to it is read
        again."""
        files = names_in_folders.contacts_of(self._catalog) if MetadataKind.PICASA in self._kinds else []
        now = json.dumps([(file.whole_path, *astuple(file.fingerprint)) for file in files])
        if now != (self._catalog.settings.get(_CONTACTS) or "[]"):
            with self._catalog.write():
                self._catalog.beside.read_again(MetadataKind.PICASA)
                self._catalog.settings.set(_CONTACTS, now)
                self._catalog.settings.unset(FOLDERS_READ_AT)
        return OnDemand(lambda: dict(pair for says in self._answers(files).values() for pair in says.contacts.items()))

    def _photos(self) -> Iterator[Sequence[UnreadFile]]:
        """The photos whose headers are to be read. Of those that a file beside them speaks of how they are turned has
        to be known even if their own words do not count."""
        after, only_spoken_of = 0, MetadataKind.EMBEDDED not in self._kinds
        while self._kinds and (
            files := self._catalog.beside.undescribed(after=after, most=READ_TOGETHER, only_spoken_of=only_spoken_of)
        ):
            yield files
            after = files[-1].photos[0]

    def _record(self, files: Sequence[UnreadFile]) -> bool:
        """Record what files say; whether all could be read."""
        answers = self._answers(files)
        with self._catalog.write():
            now = self._catalog.now()
            for file, says in answers.items():
                if says.orientation is not None:
                    self._catalog.photos.set_orientations(dict.fromkeys(file.photos, says.orientation))
                by_id = self._by_id(file, says)
                if by_id or says.doubt or file.kind is not MetadataKind.EMBEDDED:
                    self._catalog.beside.record(file, by_id, says.sha256, says.doubt, now)
        return len(answers) == len(files)

    def _by_id(self, file: UnreadFile, says: FileSays) -> dict[int, str]:
        """What a file says, by the photos that it is about."""
        if not file.names:
            return dict.fromkeys(file.photos, says.by_photo[""]) if "" in says.by_photo else {}
        said = {name.casefold(): text for name, text in says.by_photo.items()} | dict(says.by_photo)
        # On Windows, where they come from, upper and lower case are one.
        named = (
            (photo_id, said.get(name, said.get(name.casefold())))
            for photo_id, name in zip(file.photos, file.names, strict=True)
        )
        return {photo_id: self._with_contacts(text) for photo_id, text in named if text is not None}

    def _with_contacts(self, said: str) -> str:
        from facewatch.regions import picasa, stored

        return stored.to_json(picasa.with_contacts(stored.from_json(said), self._contacts()))

    def _answers(self, files: Sequence[UnreadFile]) -> dict[UnreadFile, FileSays]:
        """What those files say that can be read; of several files of one photo the first."""
        if not files:
            return {}
        from facewatch.indexing.analyzer import LibraryFile
        from facewatch.indexing.worker import WorkerLost

        workers = self._workers()
        asked = [(f, workers.said(LibraryFile(f.root, f.path), f.fingerprint, f.kind)) for f in files]
        answers: dict[UnreadFile, FileSays] = {}
        described: set[tuple[int, ...]] = set()
        for file, future in asked:
            if file.kind is MetadataKind.EMBEDDED and file.photos in described:
                continue
            try:
                answers[file] = future.result()
                described.add(file.photos)
            except WorkerLost as error:
                # As if it said nothing: it must not cost a worker at each scan.
                answers[file] = FileSays(b"", {}, 1 if file.kind is MetadataKind.EMBEDDED else None, error.fault.text)
            except (OSError, PhotoError) as error:
                log.debug("%s: not read for names: %s", display(file.path), error)
            else:
                _log(file, answers[file])
        return answers


def _log(file: UnreadFile, says: FileSays) -> None:
    if says.doubt:
        log.warning("%s: its names cannot be used: %s", display(str(Path(file.whole_path))), says.doubt)
