"""The JSON API against its own schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from drawn import FAMILY, Library, make_library
from fastapi.testclient import TestClient
from schemathesis import openapi

from facewatch.web.server import make_site

N_EXAMPLES = 8
"""For each operation."""

NOT_ASKED = ("/scan", "/recluster", "/map")
"""They start processes; tests/test_web_pages.py asks for them."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    library = make_library(tmp_path_factory.mktemp("api"))
    library.draw_all(FAMILY)
    library.scan()
    return library


@pytest.fixture(scope="module")
def client(library: Library) -> Iterator[TestClient]:
    with TestClient(make_site(library.app), base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def operations() -> list[tuple[str, str]]:
    """Return the method and path of each operation, by the schema alone."""
    paths = make_site(lambda: pytest.fail("no catalog is opened for this")).openapi()["paths"]
    return sorted(
        (method, path)
        for path, methods in paths.items()
        for method in methods
        if not path.removeprefix("/api/v1").startswith(NOT_ASKED)
    )


@pytest.fixture(scope="module")
def schema(client: TestClient) -> Any:
    return openapi.from_dict(client.get("/api/v1/openapi.json").json())


@pytest.mark.parametrize(("method", "path"), operations())
def test_no_request_that_fits_the_schema_makes_the_server_fail(
    client: TestClient, schema: Any, method: str, path: str
) -> None:
    operation = schema[path][method.upper()]
    strategy = operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE)

    @hypothesis.settings(
        max_examples=N_EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=strategy)
    def ask(case: Any) -> None:
        sent = case.as_transport_kwargs(base_url="http://127.0.0.1")
        sent = {name: sent[name] for name in ("method", "url", "params", "json", "data", "headers") if name in sent}
        if isinstance(sent.get("data"), bytes):
            sent["content"] = sent.pop("data")
        answer = client.request(**sent)
        # An answer that is not as its model says is a failure of the server, too.
        assert answer.status_code < 500, (case.method, case.path, answer.text)
        assert answer.headers["content-type"] == "application/json"
        assert answer.status_code == 200 or answer.json()["error"]

    ask()
