"""The map of faces: where they are, who is on it, and what it does not show yet."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import Library
from fastapi.testclient import TestClient

from facewatch.errors import NotKnownError
from facewatch.people.face_map import people_on
from facewatch.web.server import make_site


def test_without_faces_there_is_nothing_to_map(library: Library) -> None:
    with library.app() as app, pytest.raises(NotKnownError):
        app.face_map().renew()


def test_every_face_is_on_it_with_the_person_that_it_belongs_to_now(family: Library) -> None:
    with family.app() as app:
        assert app.face_map().faces() is None
        app.face_map().renew()
        faces = app.face_map().faces()
        assert faces is not None
        assert dict(zip(faces.ids.tolist(), faces.people.tolist(), strict=True)) == app.catalog.faces.owners(1)
        assert (faces.n_missing, faces.is_outdated, faces.positions.shape) == (0, False, (len(faces.ids), 2))


def test_people_are_in_the_middle_of_their_faces_and_named_ones_come_first(family: Library) -> None:
    with family.app() as app:
        app.face_map().renew()
        faces = app.face_map().faces()
        assert faces is not None
        people = people_on(faces, app.overview.tiles(), 2)
        assert [(one.tile.label, one.n_faces) for one in people] == [("Ben", 3), ("Anna", 2)]
        mine = faces.positions[faces.people == people[0].tile.id]
        assert (people[0].x, people[0].y) == pytest.approx(tuple(np.median(mine, axis=0)))


def test_faces_that_came_since_are_said_until_it_is_renewed(family: Library) -> None:
    with family.app() as app:
        app.face_map().renew()
    with TestClient(make_site(family.app), base_url="http://127.0.0.1") as client:
        assert "not on it yet" not in client.get("/map").text
    family.draw_all({"new": [(1, 7)]})
    family.scan()
    with TestClient(make_site(family.app), base_url="http://127.0.0.1") as client:
        assert "1 face that came since is not on it yet" in client.get("/map").text
        assert client.get("/api/v1/map").json()["n_missing"] == 1
        with family.app() as app:
            app.face_map().renew()
    with TestClient(make_site(family.app), base_url="http://127.0.0.1") as client:
        assert "not on it yet" not in client.get("/map").text
