"""Arrays of very many rows lie in a file without a name."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import Library
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facewatch.errors import DiskFullError
from facewatch.fs import mapped
from facewatch.fs.mapped import GrowingRows


@given(sizes=st.lists(st.integers(0, 5), max_size=6), n_bytes=st.sampled_from([0, 20, 10**6]))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_come_back_as_they_came_wherever_they_lay(sizes: list[int], n_bytes: int, tmp_path: Path) -> None:
    parts = [np.full((size, 3), number, np.float32) for number, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "MAPPED_BYTES", n_bytes)
        rows = GrowingRows(3, tmp_path)
        for part in parts:
            rows.add(part)
        found = rows.array()
    assert found.tolist() == [row for part in parts for row in part.tolist()]
    assert found.shape == (sum(sizes), 3)
    assert found.flags.writeable == (found.nbytes <= n_bytes)
    assert not list(tmp_path.iterdir())


def test_people_are_the_same_where_vectors_lie_in_a_file(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.draw_looks(1, 3)
    library.draw_looks(2, 2, "b")
    with library.app() as app:
        app.pipeline.scan()
        in_memory = table_of(app)
        monkeypatch.setattr(mapped, "MAPPED_BYTES", 0)
        in_file = table_of(app)
        assert [column.tolist() for column in in_file._columns()] == [c.tolist() for c in in_memory._columns()]
        assert not in_file.embeddings.flags.writeable
        result = app.grouping.recluster()
        assert (result.n_new_people, result.n_joined_people) == (0, 0)


def test_a_disk_without_room_for_the_vectors_is_said(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    library.draw_looks(1, 2)
    with library.app() as app:
        app.pipeline.scan()
        monkeypatch.setattr(mapped, "MAPPED_BYTES", 0)
        monkeypatch.setattr(mapped, "TemporaryFile", is_full)
        with pytest.raises(DiskFullError, match="full"):
            table_of(app)


def table_of(app: Any) -> Any:
    return app.catalog.faces.load(app.engine.id, n_dims=app.engine.info.n_dims)
