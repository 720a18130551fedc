"""What a gallery knows of the faces of the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facewatch.catalog import FaceTable
    from facewatch.matching import Gallery


def fill(gallery: Gallery, faces: FaceTable) -> None:
    """Add faces that belong to somebody."""
    gallery.fill(faces.people, faces.embeddings, faces.weights, ids=faces.ids, confirmed=faces.by_user, days=faces.days)


def put(gallery: Gallery, person_id: int, faces: FaceTable) -> None:
    """Replace all that is known of one person by these faces."""
    gallery.put(person_id, faces.embeddings, faces.weights, ids=faces.ids, confirmed=faces.by_user, days=faces.days)
