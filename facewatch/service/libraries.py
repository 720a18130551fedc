"""The photo libraries: which there are, what is in them, and how that differs from the catalog."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from facewatch import scan
from facewatch.catalog import Catalog, KnownFile
from facewatch.errors import LibraryError
from facewatch.service.places import check_library, distinct_roots, nested_roots
from facewatch.types import Fingerprint

log = logging.getLogger(__name__)

UNREADABLE = "cannot be read"
"""How the fault of a file begins that could not be opened: its rights are not in its fingerprint."""


class Libraries:
    """The libraries that a service looks after."""

    def __init__(
        self, catalog: Catalog, roots: tuple[Path, ...], rules: scan.Rules, *, aligned: Collection[Path] = ()
    ) -> None:
        """`aligned`: the roots whose photos are crops of one face each; others may be on record as such."""
        self.roots = roots
        self.rules = rules
        self._catalog = catalog
        self._aligned = aligned

    def settle(self) -> None:
        """Make libraries that lie in each other, or are one by way of a link, one library: a photo has one place.

        Raises:
            LibraryError: there is none.
        """
        if not self.roots:
            raise LibraryError("no library is known; name your photo folder: facewatch scan ~/Pictures")
        known = self._catalog.files.roots()
        wanted, self.roots = self.roots, distinct_roots(self.roots, known)
        for root in set(wanted) - set(self.roots):
            log.info("%s: lies in a library that is looked through as a whole", root)
        self.settle_aligned()
        for inner, outer in nested_roots(known, self.roots):
            inner_id, outer_id = self.root_id(inner), self.root_id(outer)
            with self._catalog.write():
                self._catalog.files.absorb(inner_id, outer_id, str(inner.resolve().relative_to(outer.resolve())))

    def is_aligned(self, root: Path) -> bool:
        """Whether the photos of a library are crops of one face each; remembered once it was said."""
        return self._catalog.files.is_aligned(self.root_id(root))

    def settle_aligned(self) -> None:
        """Remember which libraries are said to hold crops.

        Raises:
            LibraryError: one has been looked through as ordinary photos.
        """
        files = self._catalog.files
        for root in self._aligned:
            root_id = self.root_id(root)
            if files.is_aligned(root_id):
                continue
            if files.has_photos(root_id):
                raise LibraryError(
                    f"{root}: has been looked through as ordinary photos, so it does not become a library of face "
                    "crops; keep crops in a folder of their own"
                )
            with self._catalog.write():
                files.set_aligned(root_id, True)

    def forget_aligned(self, roots: Collection[Path]) -> None:
        """New photos in these libraries are ordinary ones again; what was looked at stays as it is."""
        with self._catalog.write():
            for root in roots:
                self._catalog.files.set_aligned(self.root_id(root), False)

    def look_at_all(self) -> list[tuple[Path, scan.Walk, scan.Changes]]:
        """Look at every library that is there; one that is not must not keep the others waiting."""
        looks, faults = [], []
        for root in self.roots:
            try:
                check_library(root)
                looks.append((root, *self.look(root)))
            except LibraryError as error:
                faults.append(error)
        if faults and not looks:
            raise faults[0]
        for fault in faults:
            log.warning("%s", fault)
        return looks

    def forget_moved(self) -> None:
        """What a library held that is gone, and another holds now, was moved: there is one place of it, the new one."""
        files = self._catalog.files
        gone = [root for root in files.roots() if not root.is_dir()]
        for root in gone:
            root_id = self.root_id(root)
            if files.has_copies_elsewhere(root_id):
                with self._catalog.write():
                    if files.forget_copies(root_id):
                        log.info("%s: gone, and all that it held is in another library now", root)

    def look(self, root: Path) -> tuple[scan.Walk, scan.Changes]:
        """Walk a library and compare it with the catalog.

        Raises:
            LibraryError: it is offline: gone, or suddenly empty. Nothing counts as removed then.
        """
        try:
            found = scan.walk(root, self.rules)
        except OSError as error:
            raise LibraryError(
                f"{root}: cannot be read: {error.strerror}; plug it in or correct library.photos. Nothing was removed"
            ) from error
        known = self._catalog.files.known(self.root_id(root))
        if known and not found.files:
            raise LibraryError(
                f"{root}: empty, but {len(known)} files were there: is the drive plugged in? Nothing was removed"
            )
        changes = scan.compare(found, {path: file.fingerprint for path, file in known.items()})
        return found, self._with_readable(root, changes, known)

    def root_id(self, root: Path) -> int:
        """Return the id of a library, recorded with the device it is on."""
        known = self._catalog.files.root(root)
        device = root.stat().st_dev if root.is_dir() else -1
        if known is not None and device in (known[1], -1):
            return known[0]
        with self._catalog.write():
            return self._catalog.files.add_root(root, device, self._catalog.now())

    @staticmethod
    def _with_readable(root: Path, changes: scan.Changes, known: Mapping[str, KnownFile]) -> scan.Changes:
        """A file that could not be opened is tried again when it can."""
        handled = {*changes.missing, *changes.changed, *(move.old for move in changes.moved)}
        again = [
            path
            for path, file in known.items()
            if file.fault
            and file.fault.startswith(UNREADABLE)
            and path not in handled
            and os.access(root / path, os.R_OK)
        ]
        return scan.Changes(changes.added, (*changes.changed, *again), changes.moved, changes.missing)

    def compare(self, root: Path, present: Mapping[str, Fingerprint], gone: Iterable[str]) -> scan.Changes:
        """Compare only these paths of a library with the catalog."""
        root_id = self.root_id(root)
        known = {path: self._catalog.files.one(root_id, path) for path in (*present, *gone)}
        return scan.compare(
            scan.Walk(present), {path: file.fingerprint for path, file in known.items() if file is not None}
        )

    def record(self, root: Path, changes: scan.Changes) -> None:
        """Record moves and removals; their photos, faces and decisions stay as they are."""
        if changes.moved or changes.missing:
            root_id = self.root_id(root)
            with self._catalog.write():
                for move in changes.moved:
                    self._catalog.files.move(root_id, move.old, move.new)
                self._catalog.files.forget(root_id, changes.missing)
            log.info("%s: %d moved, %d gone", root, len(changes.moved), len(changes.missing))
