"""What runs a recogniser: OpenVINO only where it is right, and nothing of it speaks to anybody."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from onnx_models import save_detector, save_recogniser

from facewatch.config import load_config
from facewatch.decode import decode
from facewatch.engines import describe_engine, load_engine, runtime_of, worker_bytes
from facewatch.engines.arcface import ArcFaceEngine
from facewatch.engines.openvino_network import has_bf16
from facewatch.engines.options import EngineOptions
from facewatch.engines.runtimes import KEPT, Machine, Trial, Wish, choose_runtime, try_openvino
from facewatch.errors import EngineError
from facewatch.indexing.analyzer import LibraryFile, Recipe
from facewatch.indexing.pool import WorkerPool
from facewatch.indexing.worker import private_bytes
from facewatch.settings import engine_settings_of

CPUINFO = Path("/proc/cpuinfo")

NEW = "flags\t\t: fpu sse2 avx512f avx512_bf16 amx_tile\nmodel name\t: A processor\n"
OLD = "flags\t\t: fpu sse2 avx512f avx512_vnni\nmodel name\t: Another\n"


@pytest.fixture
def openvino() -> None:
    """The package itself."""
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("needs the package openvino")


# --- which one it is ---


@dataclass
class Tries:
    """Takes the place of trials."""

    answers: Mapping[str, Trial] = field(default_factory=dict)
    """By precision; others are right."""
    done: list[str] = field(default_factory=list)

    def __call__(self, model: Path, precision: str) -> Trial:
        self.done.append(precision)
        return self.answers.get(precision, Trial())


@dataclass
class Place:
    """A models folder and a machine."""

    folder: Path
    tries: Tries = field(default_factory=Tries)
    packages: dict[str, str] = field(default_factory=lambda: {"onnxruntime": "1.31.1", "openvino": "2026.4.1"})
    has_gpu: bool = False

    def version_of(self, package: str) -> str:
        if package not in self.packages:
            raise importlib.metadata.PackageNotFoundError(package)
        return self.packages[package]

    def processor(self, cpuinfo: str) -> Place:
        (self.folder / "cpuinfo").write_text(cpuinfo)
        return self

    def chosen(self, runtime: str = "auto", *, device: str = "auto", is_asking: bool = False) -> str:
        wish = Wish(runtime, device, self.folder / "rec.onnx", "5a3b", self.folder)
        attempt = None if is_asking else self.tries
        machine = Machine(lambda: self.has_gpu, attempt, self.version_of, self.folder / "cpuinfo")
        return str(choose_runtime(wish, machine))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path).processor(NEW)


def test_openvino_runs_it_where_it_is_there_and_faster_and_right(place: Place) -> None:
    assert place.chosen() == "openvino 2026.4.1, bf16"
    assert place.tries.done == ["bf16"]


def test_without_openvino_nothing_is_said_of_it(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    del place.packages["openvino"]
    assert place.chosen() == "onnxruntime 1.31.1, f32"
    assert not caplog.records


def test_a_processor_without_bf16_gains_nothing_by_it(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    assert place.processor(OLD).chosen() == "onnxruntime 1.31.1, f32"
    assert place.tries.done == []
    assert not caplog.records


def test_who_asks_for_it_there_gets_32_bits(place: Place) -> None:
    assert place.processor(OLD).chosen("openvino") == "openvino 2026.4.1, f32"


@pytest.mark.parametrize("device", ["cuda", "coreml"])
def test_on_another_device_than_the_cpu_it_is_not_used(place: Place, device: str) -> None:
    assert place.chosen(device=device) == "onnxruntime 1.31.1, f32"
    with pytest.raises(EngineError, match=r'runs on the CPU only; set engine\.device to "cpu" or "auto"'):
        place.chosen("openvino", device=device)


def test_a_gpu_is_faster_than_it(place: Place) -> None:
    place.has_gpu = True
    assert place.chosen() == "onnxruntime 1.31.1, f32"
    assert place.chosen("openvino") == "openvino 2026.4.1, bf16"


def test_who_asks_for_what_is_not_installed_is_told_how_to_install_it(place: Place) -> None:
    del place.packages["openvino"]
    with pytest.raises(EngineError, match=r'is "openvino": it is not installed; .* -m pip install --no-deps openvino'):
        place.chosen("openvino")


@pytest.mark.parametrize("version", ["2024.6.0", "0", "new"])
def test_one_that_is_too_old_is_not_used(place: Place, version: str, caplog: pytest.LogCaptureFixture) -> None:
    place.packages["openvino"] = version
    assert place.chosen() == f"onnxruntime 1.31.1, f32 (openvino {version} is too old, 2025.0 is needed)"
    assert "too old" in caplog.text
    with pytest.raises(EngineError, match=r"too old, 2025\.0 is needed; .* -m pip install .* --upgrade"):
        place.chosen("openvino")


FAULT = "gives other numbers than onnxruntime (cosine 0.1234 in bf16)"


def test_one_that_gives_other_numbers_is_not_used(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.tries.answers = {"bf16": Trial(FAULT)}
    assert place.chosen() == f"onnxruntime 1.31.1, f32 (openvino 2026.4.1 {FAULT})"
    assert f"openvino 2026.4.1 {FAULT}; onnxruntime runs rec.onnx" in caplog.text


def test_who_asks_for_it_gets_32_bits_where_only_those_are_right(place: Place) -> None:
    place.tries.answers = {"bf16": Trial(FAULT)}
    assert place.chosen("openvino") == "openvino 2026.4.1, f32"


def test_who_asks_for_what_is_wrong_is_told_and_may_try_again(place: Place) -> None:
    place.tries.answers = {"bf16": Trial(FAULT), "f32": Trial("crashes (aborted)")}
    for _ in range(2):
        with pytest.raises(EngineError, match=r'4\.1 crashes \(aborted\); set it to "onnxruntime" or "auto"'):
            place.chosen("openvino")
    place.tries.answers = {}
    assert place.chosen("openvino") == "openvino 2026.4.1, bf16"


def test_a_trial_is_made_once_for_each_recogniser_version_and_processor(place: Place) -> None:
    assert place.chosen() == place.chosen() == place.chosen(is_asking=True)
    assert len(place.tries.done) == 1
    place.packages["openvino"] = "2026.5.0"
    place.chosen()
    place.packages["onnxruntime"] = "1.32.0"
    place.chosen()
    place.processor(NEW.replace("A processor", "A newer processor")).chosen()
    assert len(place.tries.done) == 4


def test_a_fault_is_remembered_too(place: Place) -> None:
    place.tries.answers = {"bf16": Trial(FAULT)}
    assert place.chosen() == place.chosen() == place.chosen(is_asking=True)
    assert len(place.tries.done) == 1


def test_a_fault_that_may_pass_is_not_remembered(place: Place) -> None:
    place.tries.answers = {"bf16": Trial("is not ready after 120 s", is_final=False)}
    assert place.chosen().startswith("onnxruntime")
    place.tries.answers = {}
    assert place.chosen() == "openvino 2026.4.1, bf16"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '"right"', "\0" * 16])
def test_a_damaged_record_is_written_again(place: Place, content: str) -> None:
    place.chosen()
    [record] = (place.folder / KEPT).iterdir()
    record.write_text(content)
    assert place.chosen() == "openvino 2026.4.1, bf16"
    assert len(place.tries.done) == 2
    assert json.loads(record.read_text()) == {"fault": ""}


def test_a_folder_that_cannot_be_written_costs_a_trial_each_time(place: Place) -> None:
    (place.folder / KEPT).write_text("not a folder")
    assert place.chosen() == place.chosen() == "openvino 2026.4.1, bf16"
    assert len(place.tries.done) == 2


def test_what_nobody_tried_yet_is_said_to_be_untried(place: Place) -> None:
    assert place.chosen(is_asking=True) == "openvino 2026.4.1, bf16 (not tried yet)"


@pytest.mark.parametrize(("cpuinfo", "has"), [(NEW, True), (OLD, False), ("", False), ("flags : amx_bf16\n", True)])
def test_the_processor_says_whether_it_has_bf16(tmp_path: Path, cpuinfo: str, has: bool) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(cpuinfo)
    assert has_bf16(file) == has
    assert not has_bf16(tmp_path / "absent")


def test_the_settings_want_what_is_best(tmp_path: Path) -> None:
    assert engine_settings_of(load_config(None, {}, cwd=tmp_path)).options.runtime == "auto"


# --- trials ---


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_recogniser(tmp_path / "pack/rec.onnx")


WORKING = """
class Core:
    inputs = outputs = ()
    read_model = compile_model = lambda self, *_, **__: self
    reshape = infer = lambda self, *_, **__: None
    create_infer_request = lambda self: self
    get_output_tensor = lambda self, _: self
    data = np.full((1, 512), {value}, np.float32)
"""

WRONG = {
    "wrong numbers": (WORKING.format(value=1), r"gives other numbers than onnxruntime \(cosine -?0\.\d{4} in bf16\)"),
    "no numbers": (WORKING.format(value="np.nan"), r"gives other numbers than onnxruntime \(cosine nan in bf16\)"),
    "a crash": ("os.abort()", r"crashes \(aborted\)"),
    "an illegal instruction": ("os.kill(os.getpid(), signal.SIGILL)", r"crashes \(illegal instruction\)"),
    "a missing library": ("raise ImportError('libtbb.so.12: not there')", "fails .*does not load .*libtbb.so.12: not"),
    "another API": ("", "fails .*openvino does not load .*Core"),
    "no such operation": (
        "class Core:\n    def read_model(self, model): raise RuntimeError('no op')",
        r"fails \(RuntimeError: no op\)",
    ),
    "no answer": ("sys.exit(0)", "says nothing"),
}


@contextmanager
def fake_openvino(folder: Path, code: str) -> Iterator[None]:
    """Let processes that are started meanwhile have this code as the package openvino."""
    imports = "import os, signal, sys, time\nimport numpy as np\n"
    (folder / "openvino").mkdir(parents=True)
    (folder / "openvino/__init__.py").write_text(imports + code)
    (folder / "openvino-2026.9.9.dist-info").mkdir()
    (folder / "openvino-2026.9.9.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: openvino\nVersion: 2026.9.9\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        patch.syspath_prepend(folder)  # worker processes look where their parent does
        yield


@pytest.mark.parametrize(("code", "fault"), WRONG.values(), ids=WRONG.keys())
def test_a_trial_says_what_is_wrong(tmp_path: Path, model: Path, code: str, fault: str) -> None:
    with fake_openvino(tmp_path / "fake", code):
        trial = try_openvino(model, "bf16")
    # What a missing library, or too little memory, made fail may work the next time.
    assert trial.is_final == trial.fault.startswith(("gives", "crashes"))
    assert re.match(fault, trial.fault)


@pytest.mark.parametrize("code", ["time.sleep(60)", "os.kill(os.getpid(), signal.SIGKILL)"], ids=["hangs", "killed"])
def test_a_trial_that_somebody_ended_proves_nothing(tmp_path: Path, model: Path, code: str) -> None:
    with fake_openvino(tmp_path / "fake", code):
        trial = try_openvino(model, "bf16", seconds=2 if "sleep" in code else 60)
    assert trial.fault
    assert not trial.is_final


def test_a_trial_of_what_is_no_model_says_so(openvino: None, tmp_path: Path) -> None:
    file = tmp_path / "rec.onnx"
    file.write_bytes(b"not a model")
    assert "fails" in try_openvino(file, "f32").fault


# --- OpenVINO itself ---


def test_32_bits_are_those_of_onnxruntime(openvino: None, model: Path) -> None:
    assert try_openvino(model, "f32") == Trial()


@pytest.fixture(scope="module")
def crops(shared: Path) -> NDArray[np.uint8]:
    """Real faces of 20 people, two of each."""
    engine, found = load_engine(f"insightface:{shared / 'models/buffalo_sc_dq'}"), []
    people = [folder for folder in sorted((shared / "photos/lfw").iterdir()) if len(list(folder.glob("*.jpg"))) > 1]
    for path in [path for folder in people[:20] for path in sorted(folder.glob("*.jpg"))[:2]]:
        with path.open("rb") as file:
            found.append(engine.analyse(decode(file).pixels)[0].crop)
    return np.array(found, np.uint8)


def loaded(shared: Path, tmp_path: Path, runtime: str) -> ArcFaceEngine:
    options = EngineOptions(runtime=runtime, models=str(tmp_path / "models"))
    engine = load_engine(f"insightface:{shared / 'models/buffalo_sc_dq'}", options)
    assert isinstance(engine, ArcFaceEngine)
    return engine


def test_real_faces_are_the_same_to_both(
    openvino: None, shared: Path, tmp_path: Path, crops: NDArray[np.uint8]
) -> None:
    exact, ours = (loaded(shared, tmp_path, runtime).embed(crops) for runtime in ("onnxruntime", "openvino"))
    cosines = (exact * ours).sum(axis=1)
    least = 0.999 if has_bf16(CPUINFO) else 0.999999
    assert cosines.min() >= least
    # How near two faces are is what counts.
    assert np.abs(exact @ exact.T - ours @ ours.T).max() < 0.02
    assert np.abs(exact @ exact.T - ours @ exact.T).max() < 0.02


def test_several_faces_at_once_are_the_same_as_one_by_one(
    openvino: None, shared: Path, tmp_path: Path, crops: NDArray[np.uint8]
) -> None:
    engine = loaded(shared, tmp_path, "openvino")
    one_by_one = np.concatenate([engine.embed(crop[None]) for crop in crops[:5]])
    np.testing.assert_array_equal(engine.embed(crops[:5]), one_by_one)


def test_the_engine_is_one_whatever_runs_it(openvino: None, shared: Path, tmp_path: Path) -> None:
    name, models = f"insightface:{shared / 'models/buffalo_sc_dq'}", str(tmp_path)
    infos = [describe_engine(name, EngineOptions(runtime=one, models=models)) for one in ("onnxruntime", "openvino")]
    assert infos[0] == infos[1]


def test_what_runs_it_can_be_asked(openvino: None, shared: Path, tmp_path: Path) -> None:
    name, options = (
        f"insightface:{shared / 'models/buffalo_sc_dq'}",
        EngineOptions(runtime="openvino", models=str(tmp_path)),
    )
    assert runtime_of(name, options).endswith("(not tried yet)")
    load_engine(name, options)
    precision = "bf16" if has_bf16(CPUINFO) else "f32"
    assert runtime_of(name, options) == f"openvino {importlib.metadata.version('openvino')}, {precision}"
    assert runtime_of("face_recognition", options) == ""


WATCHED = """
import os, stat, sys
def refuse(event, arguments):
    if event.startswith("socket."):
        sys.exit(f"{event} {arguments}")
sys.addaudithook(refuse)
import numpy as np
from facewatch.engines import load_engine
from facewatch.engines.options import EngineOptions
engine = load_engine(sys.argv[1], EngineOptions(runtime="openvino", models=sys.argv[2]))
print(type(engine._recogniser._network.session).__name__)
engine.embed(np.random.default_rng(0).integers(0, 255, (2, 112, 112, 3), np.uint8))
for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
    try:
        assert not stat.S_ISSOCK(os.stat(f"/proc/self/fd/{name}").st_mode), name
    except FileNotFoundError:
        pass
print(sorted(name for name in sys.modules if "telemetry" in name or name.startswith("openvino.tools.ovc")))
"""

SPY = """
from pathlib import Path
(Path(__file__).parent / "was_imported").touch()
"""


def test_nothing_is_reported_to_anybody(openvino: None, tmp_path: Path) -> None:
    """pip installs with openvino a package that reports use over the network as soon as openvino is imported."""
    save_detector(tmp_path / "pack/det.onnx")
    save_recogniser(tmp_path / "pack/rec.onnx")
    spy = tmp_path / "spy/openvino_telemetry"
    spy.mkdir(parents=True)
    (spy / "__init__.py").write_text(SPY)
    environment = {**os.environ, "PYTHONPATH": str(spy.parent)}
    command = [sys.executable, "-P", "-c", WATCHED, f"insightface:{tmp_path / 'pack'}", str(tmp_path / "models")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split("\n")[:2] == ["OpenVinoNetwork", "[]"]
    assert not (spy / "was_imported").exists()


# --- in worker processes ---


def photos_of(shared: Path, n: int) -> list[LibraryFile]:
    folder = shared / "photos"
    return [LibraryFile(str(folder), str(path.relative_to(folder))) for path in sorted(folder.glob("lfw/*/*.jpg"))[:n]]


def recipe_of(shared: Path, tmp_path: Path, runtime: str) -> Recipe:
    options = EngineOptions(runtime=runtime, device="cpu", models=str(tmp_path / "models"))
    return Recipe(f"insightface:{shared / 'models/buffalo_sc_dq'}", options)


def n_faces(workers: WorkerPool, photos: list[LibraryFile]) -> int:
    seen = [workers.examine(photo) for photo in photos]
    answers = [workers.analyse(photo, one.result().fingerprint) for photo, one in zip(photos, seen, strict=True)]
    return sum(len(answer.result().faces) for answer in answers)


def test_two_workers_run_it_within_their_memory(openvino: None, shared: Path, tmp_path: Path) -> None:
    recipe = recipe_of(shared, tmp_path, "openvino")
    with closing(WorkerPool(recipe, 2)) as workers:
        assert n_faces(workers, photos_of(shared, 12)) >= 12
        processes = [psutil.Process(pid) for pid in workers.pids]
        assert len(processes) == 2
        assert all(any("libopenvino" in one.path for one in process.memory_maps()) for process in processes)
        assert max(map(private_bytes, processes)) < worker_bytes(recipe.engine)


def test_a_crash_of_it_costs_no_photo(shared: Path, tmp_path: Path) -> None:
    with (
        fake_openvino(tmp_path / "fake", "os.abort()"),
        closing(WorkerPool(recipe_of(shared, tmp_path, "auto"), 2)) as workers,
    ):
        assert n_faces(workers, photos_of(shared, 4)) >= 4
    records = [json.loads(record.read_text()) for record in (tmp_path / "models" / KEPT).glob("*")]
    assert records == ([{"fault": "crashes (aborted)"}] if has_bf16(CPUINFO) else [])


def test_who_asks_for_what_crashes_is_told_before_any_photo(shared: Path, tmp_path: Path) -> None:
    with (
        fake_openvino(tmp_path / "fake", "os.abort()"),
        closing(WorkerPool(recipe_of(shared, tmp_path, "openvino"), 1)) as workers,
    ):
        [photo] = photos_of(shared, 1)
        seen = workers.examine(photo).result()
        with pytest.raises(EngineError, match=r'"openvino": openvino 2026\.9\.9 crashes \(aborted\); set it to'):
            workers.analyse(photo, seen.fingerprint).result()
