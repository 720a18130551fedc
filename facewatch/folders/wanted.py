"""What the catalog and the settings want of the people folder: whose folders there are to be, and what is in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from facewatch.catalog import Catalog
from facewatch.folders.extras import Extra, Suggested, groups_of
from facewatch.folders.model import Shape, WantedFolder, WantedLink, reviewed

_Row = tuple[int, str | None, int]
"""Whose folder, the name of it and a photo."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Asks the catalog."""

    catalog: Catalog
    shape: Shape

    def groups(self) -> tuple[list[Extra], list[str]]:
        """Return whose extra folders there are to be, and what is wrong with the settings for that."""
        together, n_suggested = self.shape.together, self.shape.n_suggested
        people = self.catalog.people
        groups, faults = groups_of(together, people.names(), people.former_names) if together else ([], [])
        suggested: dict[tuple[int, str], list[int]] = defaultdict(list)
        for person_id, name, photo_id in self.catalog.links.suggested(n_suggested) if n_suggested else ():
            suggested[person_id, name].append(photo_id)
        return [*groups, *(Suggested(*who, tuple(photos)) for who, photos in suggested.items())], faults

    def photos_of(self, extra: Extra) -> Sequence[int]:
        return extra.photos if isinstance(extra, Suggested) else self.catalog.links.together(extra.people)

    def people(self) -> set[int]:
        """Return who may get a folder, and the groups that may."""
        rows = self.catalog.links.wanted(unnamed_photos=self.shape.unnamed_photos)
        return {person_id for person_id, _, _ in rows} | {group.id for group in self.groups()[0]}

    def folders(self, only: Collection[int] | None, groups: Iterable[Extra]) -> list[WantedFolder]:
        """Return the folders of everybody, or `only` of these, and of those groups that are among them."""
        rows = self.catalog.links.wanted(unnamed_photos=self.shape.unnamed_photos, only=only)
        for group in groups:
            if only is None or group.id in only:
                rows += [(group.id, group.name, photo_id) for photo_id in self.photos_of(group)]
        links = self._links({photo_id for _, _, photo_id in rows}, is_all=only is None)
        faces = self._faces(rows, only) if self.shape.has_faces else {}
        wanted: dict[int, tuple[str | None, list[WantedLink]]] = {}
        for person_id, name, photo_id in rows:
            link, face_id = links[photo_id], faces.get((person_id, photo_id))
            wanted.setdefault(person_id, (name, []))[1].append(replace(link, face_id=face_id) if face_id else link)
        return [WantedFolder(person_id, name, tuple(links)) for person_id, (name, links) in wanted.items()]

    def _links(self, photos: Collection[int], *, is_all: bool) -> dict[int, WantedLink]:
        sources = self.catalog.files.sources(None if is_all else photos)
        has_dates = self.shape.by_year or self.shape.with_dates
        taken = self.catalog.photos.taken(sources) if has_dates else {}
        if not has_dates:
            return {p: WantedLink(p, paths) for p, paths in sources.items()}
        return {p: WantedLink(p, paths, *self.shape.place_of(taken.get(p, ""))) for p, paths in sources.items()}

    def _faces(self, rows: Iterable[_Row], only: Collection[int] | None) -> dict[tuple[int, int], int]:
        """Return the face that is shown of each of these photos in each folder, by whose that is and by photo."""
        faces = self.catalog.links.faces(only)
        for extra_id, _, photo_id in rows:
            if (person_id := reviewed(extra_id)) is not None:
                face_id = self.catalog.links.suggested_face(person_id, photo_id)
                faces |= {(extra_id, photo_id): face_id} if face_id is not None else {}
        return faces
