"""Faces and photos as pictures, as a browser is answered."""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from drawn import Library
from fastapi.testclient import TestClient
from PIL import Image

from facewatch.app import App
from facewatch.errors import EngineError, Fault, FaultCode, PhotoError
from facewatch.indexing.analyzer import LibraryFile, Recipe
from facewatch.indexing.pool import InlineWorkers
from facewatch.types import Box, Fingerprint
from facewatch.web.access import Access
from facewatch.web.media import Media
from facewatch.web.server import make_site

ANNA = (1, 0)
"""Her colour in a.png."""


class CountingWorkers(InlineWorkers):
    """Counts what they are asked for, and fails if a test wants that."""

    def __init__(self) -> None:
        super().__init__(Recipe("fake"))
        self.asked: list[str] = []
        self.n_closed = 0
        self.fault: Exception | None = None
        self.held: list[Future[Any]] | None = None
        """Where answers are held back."""

    def cut_faces(
        self, photo: LibraryFile, boxes: Sequence[Box], expected: Fingerprint | None, *, side: int
    ) -> Future[list[bytes | None]]:
        return self._done(photo, lambda: super(CountingWorkers, self).cut_faces(photo, boxes, expected, side=side))

    def reduced(self, photo: LibraryFile, sides: Sequence[int], expected: Fingerprint | None) -> Future[list[bytes]]:
        return self._done(photo, lambda: super(CountingWorkers, self).reduced(photo, sides, expected))

    def _done(self, photo: LibraryFile, work: Callable[[], Future[Any]]) -> Future[Any]:
        self.asked.append(photo.path)
        if self.fault is None and self.held is None:
            return work()
        future: Future[Any] = Future()
        if self.held is not None:
            self.held.append(future)
        else:
            future.set_exception(self.fault)
        return future

    def close(self) -> None:
        self.n_closed += 1


@pytest.fixture
def workers() -> CountingWorkers:
    return CountingWorkers()


@pytest.fixture
def client(family: Library, workers: CountingWorkers) -> Iterator[TestClient]:
    with TestClient(make_site(family.app, workers=lambda _: workers), base_url="http://127.0.0.1") as client:
        yield client


def picture_of(answer: Any) -> np.ndarray:
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    with Image.open(io.BytesIO(answer.content)) as picture:
        return np.asarray(picture)


def face_ids(library: Library, photo: str) -> list[int]:
    with library.app() as app:
        return [int(face["face_id"]) for face in app.lookup.photo(library.photos / photo)["faces"]]


def photo_id(library: Library, photo: str) -> int:
    with library.app() as app:
        return app.lookup.photo_id(library.photos / photo)


def test_a_face_is_a_picture_in_two_sizes(client: TestClient, family: Library) -> None:
    anna, _ = face_ids(family, "a.png")
    for path, side in ((f"/media/face/{anna}", 192), (f"/media/face/{anna}/large", 384)):
        picture = picture_of(client.get(path))
        assert picture.shape == (side, side, 3)
        assert np.abs(picture[side // 2, side // 2, :2].astype(int) - (10, 1)).max() < 12


def test_a_photo_is_a_picture_no_larger_than_it_is(client: TestClient, family: Library) -> None:
    number = photo_id(family, "a.png")
    with Image.open(family.photos / "a.png") as photo:
        size = photo.size
    for name in ("thumb", "large"):
        picture = picture_of(client.get(f"/media/photo/{number}/{name}"))
        assert picture.shape[1::-1] == size


def test_a_photo_is_opened_once_for_all_its_faces(
    client: TestClient, family: Library, workers: CountingWorkers
) -> None:
    for face in face_ids(family, "a.png") * 2:
        picture_of(client.get(f"/media/face/{face}"))
    assert workers.asked == ["a.png"]


def test_a_browser_that_has_the_picture_is_not_sent_it_again(client: TestClient, family: Library) -> None:
    (face,) = face_ids(family, "b.png")
    first = client.get(f"/media/face/{face}")
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    again = client.get(f"/media/face/{face}", headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get(f"/media/face/{face}", headers={"If-None-Match": '"other"'}).status_code == 200
    digest = tag.strip('"').partition("-")[2]
    assert "immutable" in client.get(f"/media/face/{face}", params={"v": digest}).headers["cache-control"]
    assert "no-cache" in client.get(f"/media/face/{face}", params={"v": "of another box"}).headers["cache-control"]


@pytest.mark.parametrize("path", ["face/99", "face/99/large", "photo/99/thumb", "photo/99/large", "face/1/huge"])
def test_what_nobody_knows_is_not_there(client: TestClient, path: str) -> None:
    assert client.get(f"/media/{path}").status_code == 404


@pytest.mark.parametrize("number", ["0", "-1", "a", str(2**63), "1%2e%2e"])
def test_what_is_no_id_is_refused(client: TestClient, number: str) -> None:
    assert client.get(f"/media/face/{number}").status_code == 422


def test_a_forgotten_person_has_no_picture_from_then_on(client: TestClient, family: Library) -> None:
    (face,), photo = face_ids(family, "b.png"), photo_id(family, "b.png")
    tag = client.get(f"/media/face/{face}").headers["etag"]
    client.get(f"/media/photo/{photo}/large")
    kept = family.catalog.with_name(family.catalog.name + ".crops")
    assert list(kept.glob(f"*/f{face}-*"))
    assert list(kept.glob(f"*/p{photo}-*"))
    with family.app() as app, app.corrections.deciding() as decisions:
        decisions.forget("Anna")
    assert not list(kept.glob(f"*/f{face}-*"))
    assert not list(kept.glob(f"*/p{photo}-*"))
    assert client.get(f"/media/face/{face}", headers={"If-None-Match": tag}).status_code == 404


def test_who_is_forgotten_while_the_face_is_cut_is_not_shown(
    client: TestClient, family: Library, workers: CountingWorkers
) -> None:
    (face,) = face_ids(family, "b.png")
    real = workers._done

    def meanwhile(photo: LibraryFile, work: Callable[[], Future[Any]]) -> Future[Any]:
        with family.app() as app, app.corrections.deciding() as decisions:
            decisions.forget("Anna")
        return real(photo, work)

    workers._done = meanwhile  # type: ignore[method-assign]
    assert client.get(f"/media/face/{face}").status_code == 404
    kept = family.catalog.with_name(family.catalog.name + ".crops")
    assert not list(kept.glob(f"*/f{face}-*"))


def test_somebody_else_being_forgotten_costs_a_face_nothing(
    client: TestClient, family: Library, workers: CountingWorkers
) -> None:
    (face,) = face_ids(family, "b.png")
    real = workers._done

    def meanwhile(photo: LibraryFile, work: Callable[[], Future[Any]]) -> Future[Any]:
        if len(workers.asked) == 0:
            with family.app() as app, app.corrections.deciding() as decisions:
                decisions.forget("Ben")
        return real(photo, work)

    workers._done = meanwhile  # type: ignore[method-assign]
    picture_of(client.get(f"/media/face/{face}"))
    assert workers.asked == ["b.png", "b.png"]


def placeholder_of(answer: Any) -> str:
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.headers["cache-control"] == "no-store"
    text: str = answer.text
    return text.partition("<title>")[2].partition("</title>")[0]


def test_a_photo_that_is_away_or_changed_has_a_picture_that_says_so(
    client: TestClient, family: Library, workers: CountingWorkers
) -> None:
    (b,), (c,) = face_ids(family, "b.png"), face_ids(family, "c.png")
    (family.photos / "b.png").unlink()
    family.draw("c.png", (9, 9), shade=90)
    os.utime(family.photos / "c.png", (1, 1))
    for face in (b, b, c, c):
        answer = client.get(f"/media/face/{face}")
        assert answer.status_code == 404
        assert placeholder_of(answer) == "the photo is away, or was changed since it was scanned"
    assert workers.asked == ["b.png", "c.png"], "it is not opened again and again"


def test_of_a_photo_that_is_away_the_smaller_picture_is_shown_that_is_kept(client: TestClient, family: Library) -> None:
    (face,) = face_ids(family, "b.png")
    number = photo_id(family, "b.png")
    pairs = [(f"/media/face/{face}", f"/media/face/{face}/large")]
    pairs.append((f"/media/photo/{number}/thumb", f"/media/photo/{number}/large"))
    kept = [client.get(small).content for small, _ in pairs]
    (family.photos / "b.png").rename(family.base / "b.png")
    for (_, large), content in zip(pairs, kept, strict=True):
        answer = client.get(large)
        assert answer.content == content
        tag = answer.headers["etag"]
        assert client.get(large, headers={"If-None-Match": tag}).status_code == 304
        digest = tag.strip('"').partition("-")[2]
        assert "no-cache" in client.get(large, params={"v": digest}).headers["cache-control"]


def test_a_broken_photo_has_a_picture_that_says_what_is_wrong(
    client: TestClient, family: Library, workers: CountingWorkers
) -> None:
    workers.fault = PhotoError(Fault.of(FaultCode.DAMAGED, "PNG", reason="<b>"))
    (face,) = face_ids(family, "b.png")
    for _ in range(2):
        answer = client.get(f"/media/face/{face}")
        assert placeholder_of(answer).startswith("the photo cannot be read: damaged PNG")
        assert "<b>" not in answer.text
    assert workers.asked == ["b.png"]


def test_what_left_the_library_is_shown_no_more(client: TestClient, family: Library) -> None:
    (face,) = face_ids(family, "b.png")
    picture_of(client.get(f"/media/face/{face}"))
    (family.photos / "b.png").unlink()
    family.scan()
    assert "away" in placeholder_of(client.get(f"/media/face/{face}"))


def test_a_turned_or_moved_box_is_another_picture(client: TestClient, family: Library) -> None:
    (face,) = face_ids(family, "b.png")
    before = client.get(f"/media/face/{face}")
    with family.app() as app, app.catalog.write():
        app.catalog._db.execute("UPDATE faces SET turn = 90, x = x + 5 WHERE id = ?", [face])
    after = client.get(f"/media/face/{face}", headers={"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200
    assert after.headers["etag"] != before.headers["etag"]
    assert (picture_of(after) != picture_of(before)).any()


def test_without_memory_for_a_worker_the_site_is_there_all_the_same(family: Library) -> None:
    def none(app: App) -> CountingWorkers:
        raise EngineError("100 MB of memory are too little")

    with TestClient(make_site(family.app, workers=none, is_kept_ready=True), base_url="http://127.0.0.1") as client:
        assert client.get("/").status_code == 200
        assert client.get("/media/face/1").status_code == 503


# --- beside the requests ---


def wait_for(has_happened: Callable[[], bool], *, seconds: float = 60) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + seconds
    while not has_happened():
        assert time.monotonic() < end
        time.sleep(0.01)


def make_media(library: Library, workers: CountingWorkers) -> tuple[Access, Media]:
    access = Access(library.app)
    return access, Media(access, lambda _: workers)


def test_who_goes_away_is_not_waited_for(family: Library, workers: CountingWorkers) -> None:
    from facewatch.indexing.picture_maker import find_face

    workers.held = []

    async def scenario() -> tuple[Any, bool]:
        access, media = make_media(family, workers)
        await access.start()
        gone = asyncio.Event()

        async def leave() -> None:
            await gone.wait()

        def asked(face_id: int) -> asyncio.Task[Any]:
            return asyncio.create_task(
                media.picture(lambda catalog, ticket: find_face(catalog, face_id, ticket), "", leave())
            )

        (b,), (c,) = face_ids(family, "b.png"), face_ids(family, "c.png")
        running = asked(b)
        while not workers.held:
            await asyncio.sleep(0.001)
        waiting = asked(c)
        while not media._parts or media._parts.maker._urgent == {}:
            await asyncio.sleep(0.001)
        gone.set()
        answers = [await running, await waiting]
        while any(one.is_wanted for one in media._parts.maker._urgent.values()):
            await asyncio.sleep(0)
        workers.held[0].set_exception(FileNotFoundError("b.png"))
        is_idle = media._parts.maker.is_idle
        await asyncio.to_thread(media.close)
        await asyncio.to_thread(access.close)
        return answers, is_idle

    answers, is_idle = asyncio.run(scenario())
    assert answers == [None, None]
    assert is_idle
    assert workers.asked == ["b.png"]


def test_the_faces_of_everybody_are_there_before_anybody_looks(family: Library, workers: CountingWorkers) -> None:
    site = make_site(family.app, workers=lambda _: workers, is_kept_ready=True)
    with TestClient(site, base_url="http://127.0.0.1") as client:
        people = client.get("/api/v1/people").json()["people"]
        kept = family.catalog.with_name(family.catalog.name + ".crops")
        wait_for(lambda: all(list(kept.glob(f"*/f{one['cover_id']}-192-*.jpg")) for one in people))
    assert len(workers.asked) <= len(people)


def test_workers_with_nothing_to_do_are_let_go(family: Library, workers: CountingWorkers) -> None:
    from facewatch.indexing.picture_maker import find_face

    async def scenario() -> int:
        access, media = make_media(family, workers)
        await access.start()
        n_slept = 0

        async def sleep(seconds: float) -> None:
            nonlocal n_slept
            n_slept += 1
            if n_slept == 20:
                raise asyncio.CancelledError

        async def never() -> None:
            await asyncio.Event().wait()

        await media.picture(lambda catalog, ticket: find_face(catalog, 1, ticket), "", never())
        with pytest.raises(asyncio.CancelledError):
            await media.let_go(sleep=sleep)
        n_closed = workers.n_closed
        await asyncio.to_thread(media.close)
        await asyncio.to_thread(access.close)
        return n_closed

    assert asyncio.run(scenario()) > 0
