"""Model files: told apart by their graphs, fetched only when asked, in their place as a whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from facewatch.cli import main
from facewatch.engines import describe_engine
from facewatch.engines.options import EngineOptions
from facewatch.errors import EngineError
from facewatch.models.fetching import archive_address, fetch
from facewatch.models.graphs import classify
from facewatch.models.importing import import_pack
from facewatch.models.packs import REGISTRY, KnownPack, PackFile, find_pack, list_packs, models_folder, verify
from facewatch.models.placing import disk_errors, locked
from facewatch.types import Progress, ReadModels

# Small ONNX files ----------------------------------------------------------------------------------------------------

CROPS = ("n", 3, 112, 112)


def graph_bytes(
    inputs: Sequence[Sequence[Any]], outputs: Sequence[Sequence[Any]], *, seed: int = 0, n_weights: int = 10
) -> bytes:
    """Return an ONNX file with these shapes; its weights make its size and its SHA-256."""
    weights = numpy_helper.from_array(np.random.default_rng(seed).random(n_weights, np.float32), "weights")
    graph = helper.make_graph(
        [helper.make_node("Identity", ["in0"], [f"out{i}"]) for i in range(len(outputs))],
        "small",
        [helper.make_tensor_value_info(f"in{i}", TensorProto.FLOAT, shape) for i, shape in enumerate(inputs)],
        [helper.make_tensor_value_info(f"out{i}", TensorProto.FLOAT, shape) for i, shape in enumerate(outputs)],
        [weights],
    )
    return helper.make_model(graph).SerializeToString()


def detector_bytes(n_outputs: int = 9, seed: int = 1) -> bytes:
    return graph_bytes([(1, 3, "height", "width")], [(None, 1)] * n_outputs, seed=seed)


def recogniser_bytes(n_dims: int = 512, seed: int = 2, n_weights: int = 200_000) -> bytes:
    return graph_bytes([CROPS], [("n", n_dims)], seed=seed, n_weights=n_weights)


GENDERAGE = graph_bytes([("n", 3, 96, 96)], [(1, 3)], seed=3)
LANDMARKS = graph_bytes([("n", 3, 192, 192)], [(1, 212)], seed=4)
MODELS = {"det.onnx": detector_bytes(), "rec.onnx": recogniser_bytes(), "genderage.onnx": GENDERAGE}


def write_models(folder: Path, models: Mapping[str, bytes] = MODELS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in models.items():
        (folder / name).write_bytes(content)
    return folder


def zip_bytes(models: Mapping[str, bytes] = MODELS, *, inside: str = "") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in models.items():
            archive.writestr(zipfile.ZipInfo(inside + name), content)
    return stream.getvalue()


def known_file(name: str, content: bytes) -> PackFile:
    return PackFile(name, len(content), hashlib.sha256(content).hexdigest())


ARCHIVE = zip_bytes()
TINY = KnownPack(
    "tiny",
    known_file("det.onnx", MODELS["det.onnx"]),
    known_file("rec.onnx", MODELS["rec.onnx"]),
    512,
    "for tests only",
    known_file("tiny.zip", ARCHIVE),
)
KNOWN = {"tiny": TINY}


# A release page of our own -------------------------------------------------------------------------------------------


@dataclass
class Release:
    """A web server on this machine, and how it behaves."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=lambda: {"/tiny.zip": ARCHIVE})
    asked: list[str] = field(default_factory=list)
    """The Range of every request; "" for the whole file."""
    n_sent: int = 0
    """Bytes of bodies."""
    cut_after: int | None = None
    """The connection is cut after so many bytes of the next body."""
    status: int = 200
    tag: str = '"first"'
    knows_ranges: bool = True
    tells_size: bool = True
    pause: threading.Event | None = None
    """Set: half of a body is sent, then this is waited for."""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(handler.headers.get("Range", ""))
        content = self.files.get(handler.path)
        if self.status != 200 or content is None:
            return self._send(handler, 404 if self.status == 200 else self.status, {}, b"")
        start = self._start(handler)
        if start and start >= len(content):
            return self._send(handler, 416, {"Content-Range": f"bytes */{len(content)}"}, b"")
        headers = {"ETag": self.tag}
        if self.tells_size:
            headers["Content-Length"] = str(len(content) - start)
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self._send(handler, 206 if start else 200, headers, content[start:])

    def _start(self, handler: BaseHTTPRequestHandler) -> int:
        wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        is_same = handler.headers.get("If-Range", self.tag) == self.tag
        return int(wanted[1]) if wanted and is_same and self.knows_ranges else 0

    def _send(self, handler: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], body: bytes) -> None:
        cut, self.cut_after = self.cut_after, None
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        body = body if cut is None else body[:cut]
        half = len(body) // 2 if self.pause else 0
        handler.wfile.write(body[:half])
        if self.pause:
            handler.wfile.flush()
            self.pause.wait(20)
        handler.wfile.write(body[half:])
        self.n_sent += len(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that was killed is no news."""


@pytest.fixture
def release() -> Iterator[Release]:
    release = Release()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            release.answer(self)

        def log_message(self, *_: object) -> None: ...

    with _Server(("127.0.0.1", 0), Handler) as server:
        release.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield release
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def plain_environment() -> Iterator[pytest.MonkeyPatch]:
    """No proxy and no choice of folder from outside; and tests may set variables."""
    with pytest.MonkeyPatch.context() as environment:
        for name in list(os.environ):
            if name.lower().endswith("_proxy") or name.startswith("FACEWATCH_MODELS"):
                environment.delenv(name)
        yield environment


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A models folder that does not exist yet."""
    return tmp_path / "models"


def fetch_tiny(folder: Path, release: Release, report: Callable[[Progress], None] = lambda _: None, **more: Any) -> Any:
    return fetch("tiny", folder, report, base_url=release.url, **({"registry": KNOWN} | more))


def shown(folder: Path) -> list[str]:
    """Return what lies in a models folder, also what is hidden."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


WHOLE = ["tiny/det.onnx", "tiny/facewatch.json", "tiny/rec.onnx"]


# What is known -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["buffalo_l", "buffalo_m", "buffalo_s", "antelopev2"])
def test_what_is_known_of_a_pack_is_complete(name: str) -> None:
    pack = REGISTRY[name]
    assert pack.archive.name == f"{name}.zip"
    assert pack.n_dims == 512
    assert "non-commercial" in pack.licence
    for file in (*pack.files, pack.archive):
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert file.size > 1_000_000
    assert pack.archive.size > 0.9 * pack.size


def test_a_real_detector_is_the_one_that_is_known(shared: Path) -> None:
    content = (shared / "models" / "buffalo_sc_dq" / "det_500m.onnx").read_bytes()
    assert known_file("det_500m.onnx", content) == REGISTRY["buffalo_s"].detector


def test_models_are_kept_where_the_setting_or_the_environment_says_or_in_the_cache(
    plain_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert models_folder().relative_to(Path.home()).parts[-2:] == ("facewatch", "models")
    plain_environment.setenv("FACEWATCH_MODELS", "~/elsewhere")
    assert models_folder() == Path.home() / "elsewhere"
    assert models_folder(str(tmp_path)) == tmp_path


def test_the_address_is_the_parameter_or_the_environment_or_the_librarys_own(
    plain_environment: pytest.MonkeyPatch,
) -> None:
    # In a process of its own: insightface brings libraries that change the environment.
    code = (
        "import os; from facewatch.models.fetching import archive_address; print(archive_address('buffalo_l'));"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    answer = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"https://\S+/model-zoo/buffalo_l\.zip\n1\n", answer.stdout)
    plain_environment.setenv("FACEWATCH_MODELS_URL", "http://mirror/models")
    assert archive_address("insightface:buffalo_l") == "http://mirror/models/buffalo_l.zip"
    assert archive_address("buffalo_l", "http://other/") == "http://other/buffalo_l.zip"


# What an ONNX file is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "outputs", "kind", "n_dims"),
    [
        ([(1, 3, None, None)], [(12800, 1)] * 9, "detector", 0),
        ([(1, 3, None, None)], [(12800, 1)] * 15, "detector", 0),
        ([(1, 3, None, None)], [(12800, 1)] * 6, "blind detector", 0),
        ([(1, 3, None, None)], [(12800, 1)] * 10, "blind detector", 0),
        ([(None, 3, 112, 112)], [(None, 512)], "recogniser", 512),
        ([(1, 3, None, None)], [(1, 128)], "recogniser", 128),
        ([(None, 3, 112, 112)], [(None, 10)], "other", 0),
        ([(None, 3, 112, 112)], [(None, None)], "other", 0),
        ([(None, 112, 112, 3)], [(None, 512)], "other", 0),
        ([(None, 3, 192, 192)], [(1, 3309)], "other", 0),
        ([(None, 3, 96, 96)], [(1, 3)], "other", 0),
        ([(1, 3, 128, 128), (1, 512)], [(1, 3, 128, 128)], "other", 0),
        ([], [], "other", 0),
    ],
)
def test_a_graph_tells_what_it_is(inputs: Any, outputs: Any, kind: str, n_dims: int) -> None:
    assert classify(inputs, outputs) == (kind, n_dims)


def test_any_folder_of_onnx_files_is_a_pack_and_other_models_in_it_are_passed_over(tmp_path: Path) -> None:
    place = write_models(tmp_path / "mine", MODELS | {"2d106det.onnx": LANDMARKS, "._det.onnx": b"macOS"})
    pack = find_pack(f"insightface:{place}", tmp_path / "none")
    assert pack.name == str(place)
    assert (pack.detector, pack.recogniser) == (place / "det.onnx", place / "rec.onnx")
    assert pack.sha256s == {file.name: file.sha256 for file in TINY.files}
    assert pack.n_dims == 512
    assert "not known" in pack.licence
    assert sorted(path.name for path in place.iterdir()) == sorted([*MODELS, "2d106det.onnx", "._det.onnx"])


def test_models_that_are_as_they_were_are_not_read_again(tmp_path: Path) -> None:
    recogniser = write_models(tmp_path / "mine", MODELS) / "rec.onnx"
    info = describe_engine(f"insightface:{recogniser.parent}")
    before = {info.read_as: ReadModels(info.name, "as read before", 512, "")}
    assert describe_engine(info.name, EngineOptions(), before).fingerprint == "as read before"
    os.utime(recogniser, ns=(1, 1))
    assert describe_engine(info.name, EngineOptions(), before).fingerprint == info.fingerprint


def test_weights_that_old_files_list_among_the_inputs_are_none(tmp_path: Path) -> None:
    model = onnx.load_from_string(MODELS["rec.onnx"])
    model.graph.input.append(helper.make_tensor_value_info("weights", TensorProto.FLOAT, (200_000,)))
    place = write_models(tmp_path / "old", MODELS | {"rec.onnx": model.SerializeToString()})
    assert find_pack(str(place), tmp_path).recogniser.name == "rec.onnx"


def test_the_length_of_embeddings_is_read_from_the_recogniser(tmp_path: Path) -> None:
    place = write_models(tmp_path / "mine", {"d.onnx": detector_bytes(15), "r.onnx": recogniser_bytes(128)})
    assert find_pack(str(place), tmp_path).n_dims == 128


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ({}, "no ONNX files in it; name the folder that holds a detector and a recogniser"),
        (
            {"det.onnx": MODELS["det.onnx"]},
            "a detector (det.onnx) without a recogniser; put an ArcFace model beside it",
        ),
        ({"rec.onnx": MODELS["rec.onnx"]}, "a recogniser (rec.onnx) without a detector; put an SCRFD detector"),
        (MODELS | {"r2.onnx": recogniser_bytes(seed=9)}, "2 recognisers (r2.onnx, rec.onnx); a pack has one"),
        (MODELS | {"d2.onnx": detector_bytes(seed=9)}, "2 detectors (d2.onnx, det.onnx); a pack has one"),
        (
            MODELS | {"det.onnx": detector_bytes(6)},
            "det.onnx finds faces without landmarks; take a detector with them (its name ends in kps)",
        ),
        ({"genderage.onnx": GENDERAGE}, "neither a detector nor a recogniser (genderage.onnx)"),
        (MODELS | {"rec.onnx": b"rubbish" * 100}, "rec.onnx is no ONNX model, or a damaged one; get the file again"),
        (MODELS | {"rec.onnx": MODELS["rec.onnx"][:5000]}, "rec.onnx is no ONNX model, or a damaged one"),
        (MODELS | {"rec.onnx": b""}, "rec.onnx is no ONNX model, or a damaged one"),
    ],
)
def test_a_folder_that_is_no_pack_says_what_is_missing(
    tmp_path: Path, folder: Path, models: dict[str, bytes], words: str
) -> None:
    place = write_models(tmp_path / "mine", models)
    for attempt in (lambda: find_pack(str(place), folder), lambda: import_pack(place, folder)):
        with pytest.raises(EngineError) as caught:
            attempt()
        assert str(caught.value).startswith(f"{place}: ")
        assert words in str(caught.value)
    assert shown(folder) == []


def test_weights_in_another_file_are_refused(tmp_path: Path) -> None:
    place = write_models(tmp_path / "mine")
    model = onnx.load_from_string(MODELS["rec.onnx"])
    onnx.save_model(model, place / "rec.onnx", save_as_external_data=True, location="rec.data", size_threshold=0)
    with pytest.raises(EngineError, match=r"the weights of rec.onnx lie in another file; save it with them as one"):
        find_pack(str(place), tmp_path)


def test_a_folder_inside_the_folder_is_pointed_out(tmp_path: Path) -> None:
    inner = write_models(tmp_path / "antelopev2" / "antelopev2")
    with pytest.raises(EngineError, match=re.escape(f"no ONNX files in it; did you mean {inner}?")):
        find_pack(str(inner.parent), tmp_path)


# What is in the models folder ----------------------------------------------------------------------------------------


def test_a_known_pack_that_is_absent_says_how_to_get_it(folder: Path) -> None:
    with pytest.raises(EngineError) as caught:
        find_pack("buffalo_l", folder)
    assert str(caught.value) == (
        "engine insightface:buffalo_l: its files are not here; `facewatch models fetch buffalo_l` brings them "
        "(289 MB), or `facewatch models import DIR` if you have them"
    )
    assert not folder.exists()


@pytest.mark.parametrize("name", ["bufalo_l", "..", "", "x\0"])
def test_an_unknown_pack_says_what_is_known(folder: Path, name: str) -> None:
    folder.mkdir()
    with pytest.raises(EngineError, match="no such pack") as caught:
        find_pack(name, folder)
    assert "there are antelopev2, buffalo_l, buffalo_m, buffalo_s" in str(caught.value)
    assert ("did you mean buffalo_l?" in str(caught.value)) == (name == "bufalo_l")


def test_a_path_that_is_not_there_says_so(folder: Path) -> None:
    with pytest.raises(EngineError, match=r"/nowhere/at/all: there is no such folder"):
        find_pack("/nowhere/at/all", folder)


def test_packs_are_listed_with_what_is_known_of_them(tmp_path: Path, folder: Path) -> None:
    import_pack(write_models(tmp_path / "mine"), folder)
    write_models(folder / "by_hand", {"d.onnx": detector_bytes(), "r.onnx": recogniser_bytes(256)})
    write_models(folder / "half", {"d.onnx": detector_bytes()})
    write_models(folder / "notes", {"README": b"no model"})
    write_models(folder / "tiny", {"det.onnx": MODELS["det.onnx"]})
    states = {state.name: (state.state, state.n_dims) for state in list_packs(folder, registry=KNOWN)}
    assert states == {
        "tiny": ("incomplete", 512),
        "by_hand": ("present", 256),
        "half": ("damaged", None),
        "mine": ("present", 512),
    }
    [absent] = list_packs(tmp_path / "none", registry=KNOWN)
    assert (absent.state, absent.size, absent.licence) == ("absent", TINY.size, "for tests only")


def test_files_of_a_known_pack_that_were_put_there_by_hand_are_that_pack(folder: Path) -> None:
    write_models(folder / "tiny")
    assert find_pack("tiny", folder, registry=KNOWN).licence == "for tests only"
    assert verify("tiny", folder, registry=KNOWN) == []
    damaged = bytearray(MODELS["rec.onnx"])
    damaged[-1] ^= 1
    (folder / "tiny" / "rec.onnx").write_bytes(damaged)
    with pytest.raises(EngineError, match=r"rec.onnx is damaged \(SHA-256 .*`facewatch models fetch tiny` brings"):
        find_pack("tiny", folder, registry=KNOWN)


@pytest.mark.parametrize(
    ("spoil", "state", "words"),
    [
        (lambda file: file.unlink(), "incomplete", "rec.onnx is missing"),
        (lambda file: file.write_bytes(b"short"), "damaged", f"rec.onnx has 5 bytes instead of {TINY.recogniser.size}"),
    ],
)
def test_missing_and_short_files_are_seen_without_reading_them(
    tmp_path: Path, folder: Path, spoil: Callable[[Path], None], state: str, words: str
) -> None:
    import_pack(write_models(tmp_path / "mine"), folder, registry=KNOWN)
    spoil(folder / "mine" / "rec.onnx")
    assert [pack.state for pack in list_packs(folder, registry=KNOWN)] == ["absent", state]
    assert verify("mine", folder, registry=KNOWN) == [words]
    with pytest.raises(EngineError, match=f"{words}; `facewatch models import DIR --name mine --force` brings"):
        find_pack("mine", folder, registry=KNOWN)


@pytest.mark.parametrize("manifest", ["", "{", "[]", '{"name": "mine"}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, folder: Path, manifest: str) -> None:
    import_pack(write_models(tmp_path / "mine"), folder)
    (folder / "mine" / "facewatch.json").write_text(manifest)
    with pytest.raises(EngineError, match=r"facewatch\.json: damaged; `facewatch models import"):
        find_pack("mine", folder)
    assert [state.state for state in list_packs(folder)] == [*["absent"] * 4, "damaged"]
    assert "facewatch.json: damaged" in verify("mine", folder)[0]


def test_a_manifest_cannot_point_out_of_its_folder(tmp_path: Path, folder: Path) -> None:
    import_pack(write_models(tmp_path / "mine"), folder)
    manifest = folder / "mine" / "facewatch.json"
    manifest.write_text(manifest.read_text().replace("rec.onnx", "../../rec.onnx"))
    with pytest.raises(EngineError, match=r"facewatch\.json: damaged"):
        find_pack("mine", folder)


def test_finding_a_pack_loads_no_model_library(tmp_path: Path, folder: Path) -> None:
    import_pack(write_models(tmp_path / "mine"), folder)
    heavy = "sorted({'onnx', 'onnxruntime', 'insightface', 'requests', 'numpy'} & set(sys.modules))"
    code = (
        "import sys; from pathlib import Path; from facewatch.models.packs import find_pack, list_packs; "
        f"folder = Path({str(folder)!r}); find_pack('mine', folder); list_packs(folder); print({heavy})"
    )
    answer = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


# Fetching ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", ["", "tiny/", "../../"])
def test_fetch_keeps_the_detector_and_the_recogniser_only(folder: Path, release: Release, inside: str) -> None:
    release.files["/tiny.zip"] = zip_bytes(inside=inside)
    pack = fetch_tiny(folder, release)
    assert pack == find_pack("tiny", folder, registry=KNOWN)
    assert shown(folder.parent) == [f"models/{name}" for name in WHOLE]
    assert (folder / "tiny" / "rec.onnx").read_bytes() == MODELS["rec.onnx"]
    assert verify("tiny", folder, registry=KNOWN) == []
    written = json.loads((folder / "tiny" / "facewatch.json").read_text())
    assert (written["name"], written["licence"], written["n_dims"]) == ("tiny", "for tests only", 512)
    assert written["recogniser"] == {
        "name": "rec.onnx",
        "size": TINY.recogniser.size,
        "sha256": TINY.recogniser.sha256,
    }


def test_what_is_whole_is_not_fetched_again(folder: Path, release: Release) -> None:
    fetch_tiny(folder, release)
    fetch_tiny(folder, release)
    assert release.asked == [""]


def test_nothing_but_fetch_asks_the_network(
    tmp_path: Path, folder: Path, release: Release, plain_environment: pytest.MonkeyPatch
) -> None:
    plain_environment.setenv("FACEWATCH_MODELS_URL", release.url)
    for attempt in (find_pack, verify):
        with pytest.raises(EngineError):
            attempt("tiny", folder, registry=KNOWN)
    list_packs(folder, registry=KNOWN)
    import_pack(write_models(tmp_path / "mine"), folder, registry=KNOWN)
    assert release.asked == []


def test_progress_is_told_in_bytes(folder: Path, release: Release) -> None:
    told: list[Progress] = []
    fetch_tiny(folder, release, told.append)
    counts = [progress.done for progress in told]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, len(ARCHIVE))
    assert {progress.total for progress in told} == {len(ARCHIVE)}
    assert len(told) > 3


def test_a_cut_connection_is_carried_on_and_gives_the_same_bytes(folder: Path, release: Release) -> None:
    release.cut_after = 600_000
    with pytest.raises(
        EngineError, match=r"the connection was cut after 0\.\d MB of 0\.8 MB; what came is kept, the same"
    ):
        fetch_tiny(folder, release)
    assert not (folder / "tiny").exists()
    kept = (folder / ".tiny.zip.part").stat().st_size
    assert 0 < kept <= 600_000
    told: list[Progress] = []
    fetch_tiny(folder, release, told.append)
    assert release.asked == ["", f"bytes={kept}-"]
    assert told[0].done == kept
    assert release.n_sent == 600_000 + len(ARCHIVE) - kept
    assert (folder / "tiny" / "rec.onnx").read_bytes() == MODELS["rec.onnx"]
    assert shown(folder) == WHOLE


def leave_partial(folder: Path, content: bytes, version: str = '"first"') -> Path:
    folder.mkdir()
    (folder / ".tiny.zip.version").write_text(version)
    (folder / ".tiny.zip.part").write_bytes(content)
    return folder / ".tiny.zip.part"


def test_a_server_that_cannot_begin_in_the_middle_begins_anew(folder: Path, release: Release) -> None:
    leave_partial(folder, ARCHIVE[:1000])
    release.knows_ranges = False
    fetch_tiny(folder, release)
    assert release.n_sent == len(ARCHIVE)
    assert shown(folder) == WHOLE


@pytest.mark.parametrize("content", [b"x" * 1000, b"x" * (len(ARCHIVE) + 1000)])
def test_what_came_of_another_version_is_dropped(folder: Path, release: Release, content: bytes) -> None:
    leave_partial(folder, content, '"former"')
    fetch_tiny(folder, release)
    assert release.n_sent == len(ARCHIVE)
    assert shown(folder) == WHOLE


def test_what_is_longer_than_the_servers_file_is_dropped(folder: Path, release: Release) -> None:
    leave_partial(folder, b"x" * (len(ARCHIVE) + 1000))
    fetch_tiny(folder, release)
    assert release.asked == [f"bytes={len(ARCHIVE) + 1000}-", ""]
    assert shown(folder) == WHOLE


def test_what_came_as_a_whole_before_is_not_asked_for_again(folder: Path, release: Release) -> None:
    leave_partial(folder, ARCHIVE)
    fetch_tiny(folder, release)
    assert release.asked == []
    assert shown(folder) == WHOLE


def test_an_archive_that_was_packed_anew_is_taken_when_its_files_are_right(
    folder: Path, release: Release, caplog: pytest.LogCaptureFixture
) -> None:
    release.files["/tiny.zip"] = zip_bytes({name: MODELS[name] for name in ("rec.onnx", "det.onnx")})
    release.cut_after = 700_000
    with pytest.raises(EngineError, match="was cut"):
        fetch_tiny(folder, release)
    fetch_tiny(folder, release)
    assert "is not the archive that facewatch knows; its files are compared" in caplog.text
    assert shown(folder) == WHOLE


def test_a_server_may_keep_the_size_to_itself(folder: Path, release: Release) -> None:
    release.tells_size = False
    fetch_tiny(folder, release)
    assert shown(folder) == WHOLE


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            zip_bytes(MODELS | {"rec.onnx": recogniser_bytes(seed=9)}),
            r"rec.onnx is another one \(SHA-256 \w{12}\.\.\. inst",
        ),
        (zip_bytes(MODELS | {"rec.onnx": GENDERAGE}), "rec.onnx has .* bytes instead of"),
        (zip_bytes({"det.onnx": MODELS["det.onnx"]}), "there is no rec.onnx in it"),
        (b"<html>Please log in to this network</html>", "it is no whole zip archive"),
        (ARCHIVE.replace(MODELS["rec.onnx"][3000:3100], b"x" * 100), "it is no whole zip archive .*CRC"),
    ],
)
def test_what_is_not_the_pack_is_refused_and_removed(
    folder: Path, release: Release, content: bytes, words: str
) -> None:
    release.files["/tiny.zip"] = content
    with pytest.raises(
        EngineError, match=f"engine insightface:tiny: what was downloaded is not tiny.zip: {words}.* removed; try again"
    ):
        fetch_tiny(folder, release)
    assert shown(folder) == []
    release.files["/tiny.zip"] = ARCHIVE
    fetch_tiny(folder, release)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, r"tiny.zip is not there \(HTTP 404\); it may have moved.*`facewatch models import DIR`"),
        (403, r"is refused \(HTTP 403\).*try again later.*`facewatch models import DIR`"),
        (429, r"is refused \(HTTP 429\)"),
        (503, r"the server is in trouble \(HTTP 503\); try again later"),
    ],
)
def test_a_server_that_refuses_is_told_with_what_to_do(folder: Path, release: Release, status: int, words: str) -> None:
    part = leave_partial(folder, ARCHIVE[:1000])
    release.status = status
    with pytest.raises(EngineError, match=words):
        fetch_tiny(folder, release)
    assert part.read_bytes() == ARCHIVE[:1000]
    release.status = 200
    fetch_tiny(folder, release)
    assert release.asked == ["bytes=1000-"] * 2


NOBODY = "http://127.0.0.1:9/"
"""A port where nothing listens."""


@pytest.mark.parametrize("url", [NOBODY, "http://nowhere.invalid/"])
def test_without_a_network_another_way_is_named(folder: Path, url: str) -> None:
    with pytest.raises(
        EngineError, match=r"cannot be reached; .*on another machine, and `facewatch models import DIR`"
    ):
        fetch("tiny", folder, print, base_url=url, registry=KNOWN)
    assert shown(folder) == []


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_a_proxy_that_refuses_is_named_by_its_variable(
    folder: Path, plain_environment: pytest.MonkeyPatch, variable: str
) -> None:
    plain_environment.setenv(variable, "http://me:secret@127.0.0.1:9")
    with pytest.raises(EngineError, match=rf"the proxy that \${variable} names does not let us through") as caught:
        fetch("tiny", folder, print, base_url="http://nowhere.invalid/", registry=KNOWN)
    assert "secret" not in str(caught.value)


def test_a_proxy_that_wants_a_password_is_named(
    folder: Path, release: Release, plain_environment: pytest.MonkeyPatch
) -> None:
    plain_environment.setenv("http_proxy", release.url)
    release.status = 407
    with pytest.raises(EngineError, match=r"the proxy that \$http_proxy names wants a name and a password"):
        fetch("tiny", folder, print, base_url="http://nowhere.invalid/", registry=KNOWN)


@pytest.mark.parametrize("url", ["garbage", "mirror/models", "file:///mirror", "http://", "http://[", "http://a b/"])
def test_an_address_that_is_none_names_the_variable(
    folder: Path, plain_environment: pytest.MonkeyPatch, url: str
) -> None:
    plain_environment.setenv("FACEWATCH_MODELS_URL", url)
    with pytest.raises(EngineError, match=r"is no web address; \$FACEWATCH_MODELS_URL must name a mirror") as caught:
        fetch("tiny", folder, print, registry=KNOWN)
    assert "scheme" not in str(caught.value)
    assert shown(folder) == []


def test_only_known_packs_can_be_fetched(folder: Path) -> None:
    with pytest.raises(
        EngineError, match=r"only tiny can be fetched; did you mean tiny\?; `facewatch models import DIR`"
    ):
        fetch("insightface:tinny", folder, print, registry=KNOWN)


def test_a_disk_without_room_is_noticed_before_anything_is_asked_for(folder: Path, release: Release) -> None:
    with pytest.raises(EngineError, match=r"models: 1\.6 MB are needed and 1\.0 MB are free; make room"):
        fetch_tiny(folder, release, free=lambda _: 1_000_000)
    assert release.asked == []
    leave_partial(folder / "x", b"")  # what came already needs no room
    (folder / ".tiny.zip.part").write_bytes(ARCHIVE[:700_000])
    fetch_tiny(folder, release, free=lambda _: 1_000_000)


def test_a_disk_that_is_full_while_writing_is_told(folder: Path, release: Release) -> None:
    folder.mkdir()
    (folder / ".tiny.zip.part").symlink_to("/dev/full")
    with pytest.raises(EngineError, match=rf"{folder}: the disk is full; make room and start again"):
        fetch_tiny(folder, release)
    assert not (folder / "tiny").exists()


def test_a_disk_that_is_full_while_unpacking_keeps_what_came(folder: Path, release: Release) -> None:
    def stop(progress: Progress) -> None:
        if progress.note == "unpacking":
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(EngineError, match="the disk is full"):
        fetch_tiny(folder, release, stop)
    assert shown(folder) == [".tiny.zip.part", ".tiny.zip.version"]
    fetch_tiny(folder, release)
    assert release.asked == [""]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, release: Release) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        EngineError, match=r"file/models.*: Not a directory; give facewatch the right to it, or keep models"
    ):
        fetch_tiny(tmp_path / "file" / "models", release)
    with pytest.raises(EngineError, match=r"/x: Permission denied; give"), disk_errors(tmp_path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/x")
    assert release.asked == []


def test_stopping_in_the_middle_leaves_nothing_half_made(folder: Path, release: Release) -> None:
    for note in ("tiny.zip", "unpacking"):

        def stop(progress: Progress, note: str = note) -> None:
            if progress.done and progress.note == note:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fetch_tiny(folder, release, stop)
        assert shown(folder) == [".tiny.zip.part", ".tiny.zip.version"]
    fetch_tiny(folder, release)
    assert shown(folder) == WHOLE


def test_a_killed_fetch_leaves_nothing_in_place_and_the_next_carries_on(folder: Path, release: Release) -> None:
    release.pause = threading.Event()
    code = f"""
from pathlib import Path
from facewatch.models.fetching import fetch
from facewatch.models.packs import PackFile, KnownPack
pack = {TINY!r}
folder, url = Path({str(folder)!r}), {release.url!r}
fetch("tiny", folder, lambda progress: print(progress.done, flush=True), base_url=url, registry=dict(tiny=pack))
"""
    with subprocess.Popen([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        while int(process.stdout.readline()) == 0:
            pass
        process.send_signal(signal.SIGKILL)
    release.pause.set()
    kept = (folder / ".tiny.zip.part").stat().st_size
    assert 0 < kept < len(ARCHIVE)
    assert [state.state for state in list_packs(folder, registry=KNOWN)] == ["absent"]
    release.pause = None
    fetch_tiny(folder, release)
    assert release.asked == ["", f"bytes={kept}-"]
    assert shown(folder) == WHOLE


def test_what_a_killed_process_left_of_unpacking_is_no_pack_and_goes(folder: Path, release: Release) -> None:
    write_models(folder / ".tiny.tmp" / "tiny", {"det.onnx": b"half"})
    assert [state.state for state in list_packs(folder, registry=KNOWN)] == ["absent"]
    fetch_tiny(folder, release)
    assert shown(folder) == WHOLE


def test_two_fetches_at_once_are_one_download(folder: Path, release: Release) -> None:
    release.pause = threading.Event()
    notes: list[str] = []

    def second(progress: Progress) -> None:
        notes.append(progress.note)
        assert release.pause
        release.pause.set()

    threads = [threading.Thread(target=fetch_tiny, args=(folder, release))]
    threads[0].start()
    while not (folder / ".tiny.zip.part").exists():
        threads[0].join(0.01)
    threads.append(threading.Thread(target=fetch_tiny, args=(folder, release, second)))
    threads[1].start()
    for thread in threads:
        thread.join(20)
    assert notes == ["another facewatch is at it"]
    assert release.asked == [""]
    assert shown(folder) == WHOLE


def test_fetch_mends_a_damaged_pack_and_leaves_other_files_alone(folder: Path, release: Release) -> None:
    fetch_tiny(folder, release)
    (folder / "tiny" / "rec.onnx").write_bytes(b"x" * TINY.recogniser.size)
    (folder / "tiny" / "notes.txt").write_text("mine")
    assert verify("tiny", folder, registry=KNOWN)[0].startswith("rec.onnx is damaged (SHA-256 ")
    fetch_tiny(folder, release)
    assert verify("tiny", folder, registry=KNOWN) == []
    assert shown(folder) == ["tiny/det.onnx", "tiny/facewatch.json", "tiny/notes.txt", "tiny/rec.onnx"]


# Importing -----------------------------------------------------------------------------------------------------------


def test_a_real_pack_is_imported_listed_and_verified(shared: Path, folder: Path) -> None:
    pack = import_pack(shared / "models" / "buffalo_sc_dq", folder)
    assert (pack.name, pack.n_dims) == ("buffalo_sc_dq", 512)
    assert (pack.detector.name, pack.recogniser.name) == ("det_500m.onnx", "w600k_mbf.onnx")
    assert "non-commercial research only" in pack.licence
    assert list_packs(folder)[-1].name == "buffalo_sc_dq"
    assert list_packs(folder)[-1].state == "present"
    assert verify("buffalo_sc_dq", folder) == []
    with (folder / "buffalo_sc_dq" / "w600k_mbf.onnx").open("r+b") as stream:
        stream.seek(1_000_000)
        [byte] = stream.read(1)
        stream.seek(1_000_000)
        stream.write(bytes([byte ^ 1]))
    assert list_packs(folder)[-1].state == "present"
    [fault] = verify("insightface:buffalo_sc_dq", folder)
    assert fault.startswith("w600k_mbf.onnx is damaged (SHA-256 ")


def test_importing_the_same_once_more_changes_nothing(tmp_path: Path, folder: Path) -> None:
    source = write_models(tmp_path / "mine")
    first = import_pack(source, folder)
    before = {path: path.stat().st_mtime_ns for path in (folder / "mine").iterdir()}
    assert import_pack(source, folder) == first
    assert {path: path.stat().st_mtime_ns for path in (folder / "mine").iterdir()} == before
    assert sorted(path.name for path in source.iterdir()) == sorted(MODELS)


def test_other_files_under_a_taken_name_need_force(tmp_path: Path, folder: Path) -> None:
    first = import_pack(write_models(tmp_path / "mine"), folder)
    other = write_models(tmp_path / "other", {"det.onnx": MODELS["det.onnx"], "new.onnx": recogniser_bytes(seed=9)})
    with pytest.raises(
        EngineError, match=r"insightface:mine is there already, with other files .*; --force replaces them"
    ):
        import_pack(other, folder, name="mine")
    assert find_pack("mine", folder) == first
    assert import_pack(other, folder, name="insightface:mine", force=True).recogniser.name == "new.onnx"
    assert shown(folder) == ["mine/det.onnx", "mine/facewatch.json", "mine/new.onnx"]


@pytest.mark.parametrize("is_written_down", [True, False])
def test_a_damaged_pack_is_called_so_and_repaired_by_force(tmp_path: Path, folder: Path, is_written_down: bool) -> None:
    source = write_models(tmp_path / "mine")
    first = import_pack(source, folder)
    (folder / "mine" / "rec.onnx").unlink()
    if not is_written_down:
        (folder / "mine" / "facewatch.json").unlink()
    with pytest.raises(EngineError, match=r"mine is there, but damaged .*rec\.onnx is missing\); --force repairs it"):
        import_pack(source, folder)
    assert import_pack(source, folder, force=True) == first
    assert verify("mine", folder) == []


def test_a_damaged_manifest_has_one_next_step(tmp_path: Path, folder: Path) -> None:
    import_pack(write_models(tmp_path / "mine"), folder)
    (folder / "mine" / "facewatch.json").write_text("{")
    with pytest.raises(EngineError) as caught:
        find_pack("mine", folder)
    _, *steps = str(caught.value).split("; ")
    assert steps == ["`facewatch models import DIR --name mine --force` brings the files again"]
    assert verify("mine", folder) == [f"{folder / 'mine' / 'facewatch.json'}: damaged"]


def test_files_put_there_by_hand_become_a_pack_that_can_be_verified(folder: Path) -> None:
    place = write_models(folder / "mine")
    import_pack(place, folder)
    assert (place / "facewatch.json").is_file()
    assert (place / "genderage.onnx").is_file()
    (place / "rec.onnx").write_bytes(recogniser_bytes(seed=9))
    assert verify("mine", folder) != []


def test_a_known_name_is_for_the_known_files_only(tmp_path: Path, folder: Path) -> None:
    source = write_models(tmp_path / "tiny", MODELS | {"rec.onnx": recogniser_bytes(seed=9)})
    archive = tmp_path / "tiny.zip"
    archive.write_bytes(zip_bytes(MODELS | {"rec.onnx": recogniser_bytes(seed=9)}))
    for wrong, force in ((source, False), (source, True), (archive, False)):
        with pytest.raises(
            EngineError, match=r"rec\.onnx is .*SHA-256.*a pack of your own needs a name of its own: --name"
        ):
            import_pack(wrong, folder, registry=KNOWN, force=force)
    assert shown(folder) == []
    assert import_pack(source, folder, name="mine", registry=KNOWN).licence == "for tests only"


@pytest.mark.parametrize("name", [None, "mine"])
@pytest.mark.parametrize("inside", ["", "tiny/"])
def test_an_archive_is_imported_like_a_folder(tmp_path: Path, folder: Path, name: str | None, inside: str) -> None:
    archive = tmp_path / "tiny.zip"
    archive.write_bytes(zip_bytes(inside=inside))
    pack = import_pack(archive, folder, name=name, registry=KNOWN)
    assert pack.name == (name or "tiny")
    assert shown(folder) == [line.replace("tiny", pack.name) for line in WHOLE]
    assert verify(pack.name, folder, registry=KNOWN) == []
    import_pack(archive, folder, name=name, registry=KNOWN)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (zip_bytes({"a/det.onnx": b"1", "b/det.onnx": b"2"}), "there are two files called det.onnx in it"),
        (zip_bytes({"det.onnx": MODELS["det.onnx"]}), "a detector (det.onnx) without a recogniser"),
        (zip_bytes({"README": b"nothing"}), "no ONNX files in it"),
        (ARCHIVE.replace(MODELS["rec.onnx"][3000:3100], b"x" * 100), "it is no whole zip archive"),
    ],
)
def test_an_archive_that_is_no_pack_says_why(tmp_path: Path, folder: Path, content: bytes, words: str) -> None:
    archive = tmp_path / "mine.zip"
    archive.write_bytes(content)
    with pytest.raises(EngineError) as caught:
        import_pack(archive, folder)
    assert str(caught.value).startswith(f"{archive}: ")
    assert words in str(caught.value)
    assert shown(folder) == []


@pytest.mark.parametrize(
    ("source", "name", "words"),
    [
        ("nowhere", None, "nowhere: no such folder; name the folder that holds a detector and a recogniser"),
        ("mine/det.onnx", None, "det.onnx: neither a folder nor a zip archive; name the folder"),
        ("mine/cut.zip", None, "cut.zip: a damaged zip archive; get it again"),
        ("mine", "face_recognition", "'face_recognition' is the engine that needs no pack; choose another name"),
        ("mine", "a/b", "'a/b' cannot be a pack's name: letters, digits and . _ - can; choose one with --name"),
        ("mine", "..", "'..' cannot be a pack's name"),
    ],
)
def test_what_cannot_be_imported_is_named(
    tmp_path: Path, folder: Path, source: str, name: str | None, words: str
) -> None:
    write_models(tmp_path / "mine")
    (tmp_path / "mine" / "cut.zip").write_bytes(ARCHIVE[: len(ARCHIVE) // 2])
    with pytest.raises(EngineError, match=re.escape(words)):
        import_pack(tmp_path / source, folder, name=name)


def test_an_import_without_room_leaves_nothing(tmp_path: Path, folder: Path) -> None:
    source = write_models(tmp_path / "mine")
    with pytest.raises(EngineError, match=r"models: 0\.8 MB are needed and 0\.0 MB are free"):
        import_pack(source, folder, free=lambda _: 0)
    assert shown(folder) == []


def test_a_replacement_that_is_torn_is_never_taken_for_whole(tmp_path: Path, folder: Path) -> None:
    import_pack(write_models(tmp_path / "mine"), folder)
    other = write_models(tmp_path / "new", {"det.onnx": detector_bytes(seed=8), "new.onnx": recogniser_bytes(seed=9)})
    # A folder in the way of the second file stops the move half-way, as a power cut would.
    (folder / "mine" / "new.onnx").mkdir()
    with pytest.raises(EngineError, match=r"new\.onnx"):
        import_pack(other, folder, name="mine", force=True)
    assert not (folder / "mine" / "facewatch.json").exists()
    (folder / "mine" / "new.onnx").rmdir()
    with pytest.raises(EngineError, match="without a recogniser"):
        find_pack("mine", folder)


# Locks ---------------------------------------------------------------------------------------------------------------


def test_a_lock_leaves_nothing_behind_also_when_the_work_fails(folder: Path) -> None:
    def fail() -> None:
        with locked(folder, "mine", lambda: None):
            assert [path.name for path in folder.iterdir()] == [".mine.lock"]
            raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        fail()
    assert list(folder.iterdir()) == []


def test_only_one_at_a_time_holds_a_lock_whose_file_comes_and_goes(folder: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        for _ in range(50):
            with locked(folder, "mine", lambda: None):
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 400
    assert list(folder.iterdir()) == []


# The command ---------------------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(
    folder: Path,
    release: Release,
    capsys: pytest.CaptureFixture[str],
    plain_environment: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Any:
    """Run `facewatch models` on a models folder that the settings name, with a release page of our own."""
    plain_environment.setenv("FACEWATCH_MODELS_URL", release.url)
    plain_environment.setitem(REGISTRY, "tiny", TINY)
    settings = tmp_path / "facewatch.toml"
    settings.write_text(f'[engine]\nmodels = "{folder}"\n')

    def call(*arguments: str, types: str | None = None) -> Answer:
        stdin = io.StringIO(types)
        stdin.isatty = lambda: types is not None  # type: ignore[method-assign]
        plain_environment.setattr(sys, "stdin", stdin)
        code = main(["--config", str(settings), "models", *arguments])
        return Answer(code, *capsys.readouterr())

    return call


def test_models_lists_the_engines(run: Any, folder: Path) -> None:
    rows = json.loads(run("--json").out)
    assert [set(row) for row in rows] == [{"engine", "n_dims", "bytes", "licence", "state", "folder"}] * 6
    standard, *packs = rows
    assert (standard["engine"], standard["n_dims"], standard["state"]) == ("face_recognition", 128, "present")
    assert standard["bytes"] > 1e7
    assert {row["engine"]: row["bytes"] for row in packs}["insightface:buffalo_l"] == 191_307_687
    assert all(row["state"] == "absent" and row["folder"].startswith(str(folder)) for row in packs)
    table = run().out
    for words in ("insightface:antelopev2", "512", "for non-commercial research only", "absent", "CC0"):
        assert words in table


def test_nothing_is_downloaded_without_being_asked_for(run: Any, release: Release, folder: Path) -> None:
    run()
    run("verify")
    answer = run("fetch", "tiny")
    assert answer.code == 2
    assert "--yes accepts the licence and fetches it" in answer.err
    answer = run("fetch", "tiny", types="n\n")
    assert answer.code == 1
    assert f"tiny: 0.8 MB from {release.url}tiny.zip; 0.8 MB are kept\nfor tests only\n" in answer.err
    assert "nothing was fetched; `facewatch models import DIR` takes" in answer.err
    assert release.asked == []
    assert not folder.exists()


@pytest.mark.parametrize(("options", "types"), [(["--yes"], None), ([], "y\n")])
def test_fetch_brings_a_pack_when_the_licence_is_accepted(
    run: Any, folder: Path, options: list[str], types: str | None
) -> None:
    answer = run("fetch", "insightface:tiny", *options, types=types)
    assert answer.code == 0
    assert answer.out.splitlines() == [
        f"insightface:tiny: 512 dimensions, in {folder / 'tiny'}",
        "licence: for tests only",
        "next: facewatch scan --engine insightface:tiny",
    ]
    assert "already here" in run("fetch", "tiny").out
    assert run("fetch", "tiny", "--quiet").out == ""


def test_errors_have_the_exit_code_of_engines(run: Any, release: Release) -> None:
    release.status = 503
    answer = run("fetch", "tiny", "--yes")
    assert answer.code == 7
    assert answer.err.startswith("facewatch: engine insightface:tiny: ")
    assert run("fetch", "buffalo_x", "--yes").code == 7
    assert run("verify", "buffalo_l").code == 7


def test_import_takes_a_folder_under_a_name(run: Any, tmp_path: Path, folder: Path) -> None:
    source = write_models(tmp_path / "my pack")
    assert "choose one with --name" in run("import", str(source)).err
    assert "already here" not in run("import", str(source), "--name", "mine").out
    assert "insightface:mine: already here, 512 dimensions" in run("import", str(source), "--name", "mine").out
    other = write_models(tmp_path / "other", MODELS | {"rec.onnx": recogniser_bytes(seed=9)})
    assert "--force replaces them" in run("import", str(other), "--name", "mine").err
    assert run("import", str(other), "--name", "mine", "--force").code == 0
    assert {row["engine"]: row["state"] for row in json.loads(run("--json").out)}["insightface:mine"] == "present"


def test_verify_says_what_is_damaged_and_what_to_do(run: Any, tmp_path: Path, folder: Path) -> None:
    assert "no packs; facewatch models lists" in run("verify").out
    run("import", str(write_models(tmp_path / "mine")))
    run("fetch", "tiny", "--yes")
    assert run("verify").out == "insightface:tiny: whole\ninsightface:mine: whole\n"
    (folder / "tiny" / "det.onnx").unlink()
    answer = run("verify")
    assert answer.code == 7
    assert answer.out == (
        "insightface:tiny: 1 fault; `facewatch models fetch tiny` brings the files again\n"
        "- det.onnx is missing\ninsightface:mine: whole\n"
    )
    assert "1 damaged pack: insightface:tiny; what is wrong and what to do stands above" in answer.err
    assert run("verify", "mine").code == 0
    answer = run("verify", "--json")
    assert answer.code == 7
    assert json.loads(answer.out) == [
        {"engine": "insightface:tiny", "faults": ["det.onnx is missing"], "is_on_record": True},
        {"engine": "insightface:mine", "faults": [], "is_on_record": True},
    ]


def test_verify_does_not_call_whole_what_has_no_sha256(run: Any, tmp_path: Path, folder: Path) -> None:
    by_hand, elsewhere = write_models(folder / "mine"), write_models(tmp_path / "elsewhere")
    for name, place in (("mine", by_hand), (str(elsewhere), elsewhere)):
        answer = run("verify", name)
        assert answer.code == 0
        assert "no SHA-256 is on record" in answer.out
        assert f"`facewatch models import {place}` writes it down" in answer.out
        assert [row["is_on_record"] for row in json.loads(run("verify", name, "--json").out)] == [False]
        run("import", str(place))
    assert run("verify").out == "insightface:elsewhere: whole\ninsightface:mine: whole\n"


@pytest.mark.parametrize("name", ["fetch", "import", "verify"])
def test_every_subcommand_explains_itself_with_an_example(run: Any, name: str) -> None:
    text = run(name, "--help").out
    assert f"Example:\n    facewatch models {name}" in text
    assert "--quiet" in text


def test_json_before_a_subcommand_is_a_mistake(run: Any) -> None:
    answer = run("--json", "verify")
    assert answer.code == 2
    assert "--json does not go before verify" in answer.err


def test_a_relative_models_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "facewatch.toml"
    settings.write_text('[engine]\nmodels = "models"\n')
    assert main(["--config", str(settings), "models"]) == 3
    assert "engine.models = 'models': must be a whole path" in capsys.readouterr().err
