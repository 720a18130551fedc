"""The architecture: a module imports only from lines above its own, siblings never import each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import documents
import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "facewatch"

LAYERS = (
    ("errors", "types", "ids"),
    ("fs", "text", "boxes", "columns", "modules", "cores", "called"),
    ("models", "catalog.migrations", "cohort", "heartbeat", "logs"),
    ("decode", "regions", "quality", "engines", "matching", "clustering", "catalog"),
    ("config", "folders", "library", "indexing", "publish"),
    ("people",),
    ("watcher",),
    ("settings",),
    ("checks", "reports"),
    ("pipeline",),
    ("presentation",),
    ("app",),
    ("evaluation", "web"),
    ("cli",),
)
"""The picture in docs/how-it-works.md, from the bottom to the top."""

ANYWHERE = {"__init__", "__main__"}


def unit_of(module: str) -> str:
    """Return the name in LAYERS that a module ("watcher.loop") belongs to."""
    return module if module == "catalog.migrations" else module.split(".")[0]


def imports_of(path: Path) -> set[str]:
    """Return the modules of the package that a file imports anywhere in it, without the package's own name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            # `from facewatch import scan` imports a module, too.
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "facewatch" else {node.module}
            )
    return {name.removeprefix("facewatch.") for name in found if name.startswith("facewatch.")} - {"__version__"}


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.stem not in ANYWHERE or path.parent != PACKAGE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_lower_layers(path: Path) -> None:
    heights = {name: height for height, names in enumerate(LAYERS) for name in names}
    module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
    own = unit_of(module)
    assert own in heights, f"{module} has no place in the layers"
    for imported in imports_of(path):
        other = unit_of(imported)
        if other == own or (own, other) == ("catalog", "catalog.migrations"):
            continue
        assert heights[other] < heights[own], f"{module} must not import {imported}"


def test_the_documents_list_these_layers() -> None:
    listed = " ".join(
        documents.text_of("docs/how-it-works.md").partition("(a test holds that): ")[2].partition(".\n\n")[0].split()
    )
    layers = [{name.replace("/", ".") for name in layer.split(", ")} for layer in listed.split(" | ")]
    assert layers == [set(names) for names in LAYERS]


SEE_SETTINGS = {"app", "settings", "cli", "web", "checks"}


def test_layers_below_the_app_do_not_see_the_settings() -> None:
    below = [p for p in FILES if unit_of(p.relative_to(PACKAGE).parts[0].removesuffix(".py")) not in SEE_SETTINGS]
    assert not [path for path in below if "config" in {unit_of(name) for name in imports_of(path)}]


OPENED_AT_HOME = {
    "cli/init.py": "pictures that came with installed packages",
}
"""Where pictures are opened outside the worker processes, and which."""

OPENING = {("decode", "decode"), ("decode", "peek"), ("decode", "taken_at"), ("decode", "described"), ("Image", "open")}
"""What reads a picture's content: of which name, and which of its functions."""


def test_photos_are_opened_in_worker_processes_only() -> None:
    """A hostile photo that takes over its decoder must find itself in a worker, which has limits."""
    paths = {str(path.relative_to(PACKAGE)): path for path in FILES}
    at_home = {name: path for name, path in paths.items() if Path(name).parts[0] not in ("decode", "indexing")}
    assert {name for name, path in at_home.items() if opens_pictures(path)} == set(OPENED_AT_HOME)


def opens_pictures(path: Path) -> bool:
    """Whether a file calls, or imports by its name, what opens pictures."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            module = {"facewatch.decode": "decode", "PIL.Image": "Image"}.get(node.module or "")
            if any((module, alias.name) in OPENING for alias in node.names):
                return True
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of = node.func.value
            name = of.id if isinstance(of, ast.Name) else of.attr if isinstance(of, ast.Attribute) else ""
            if (name, node.func.attr) in OPENING or node.func.attr in {"imread", "imdecode"}:
                return True
    return False


def test_what_opens_pictures_is_recognised(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    for code in (
        "decode.decode(data)",
        "facewatch.decode.peek(data)",
        "from facewatch.decode import taken_at",
        "decode.described(data)",
        "def f():\n    with Image.open(path) as picture: ...",
        "PIL.Image.open(path)",
        "from PIL.Image import open as look",
        "cv2.imread(path)",
    ):
        file.write_text(code)
        assert opens_pictures(file), code
    file.write_text("from facewatch import decode\ndecode.claims_to_be_photo('a.jpg')\nImage.fromarray(pixels)")
    assert not opens_pictures(file)


def test_the_app_imports_no_part_before_it_is_asked_for() -> None:
    code = "import sys, facewatch.app; print(*sys.modules)"
    loaded = set(subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True).stdout.split())
    parts = {"pipeline", "matching", "people.corrections", "people.search", "folders.sync", "library.roots", "reports"}
    heavy = {"lxml", "PIL", "scipy", "onnxruntime", "psutil", "threadpoolctl"}
    assert loaded.isdisjoint({f"facewatch.{part}".encode() for part in parts} | {name.encode() for name in heavy})


def test_a_scan_of_nothing_new_imports_little(tmp_path: Path) -> None:
    """Its imports are nearly all that it takes time for."""
    photos = tmp_path / "Photos"
    photos.mkdir()
    (photos / "notes.txt").write_text("no photo")
    places = ["--catalog", str(tmp_path / "catalog.sqlite"), "--people", str(tmp_path / "People")]
    code = "import sys; from facewatch.cli import main; main(sys.argv[1:]); print(*sys.modules)"
    command = [sys.executable, "-P", "-c", code, "scan", "-q", *places, str(photos)]
    outputs = [subprocess.run(command, check=True, capture_output=True, cwd=tmp_path).stdout for _ in range(2)]
    loaded = set(outputs[-1].split())
    parts = {"people.portraits", "people.from_folder", "people.apply", "indexing.pool", "indexing.indexer", "reports"}
    heavy = {"lxml", "PIL", "scipy", "onnxruntime", "psutil", "socket", "multiprocessing"}
    assert loaded.isdisjoint({f"facewatch.{part}".encode() for part in parts} | {name.encode() for name in heavy})


def test_worker_processes_know_nothing_of_the_command_line() -> None:
    """What they import is imported once for each of them."""
    code = "import sys, facewatch.indexing.worker, facewatch.logs; print(*sys.modules)"
    loaded = set(subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True).stdout.split())
    assert loaded.isdisjoint({b"click", b"rich", b"facewatch.cli", b"facewatch.catalog", b"sqlite_utils"})


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports for types count, too: a part that holds who holds it is a circle through an attribute."""
    modules = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in FILES}
    modules = {module.removesuffix(".__init__"): path for module, path in modules.items()}
    graph = {module: modules_of(path, modules.keys()) - {module} for module, path in modules.items()}
    while leaves := {module for module, imported in graph.items() if not imported & graph.keys()}:
        graph = {module: imported for module, imported in graph.items() if module not in leaves}
    assert not graph


def modules_of(path: Path, known: Collection[str]) -> set[str]:
    """Return the modules that a file imports, or imports from."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = absolute(node, path)
            names = {f"{module}.{alias.name}" for alias in node.names}
            found |= (names & {*known}) or {module}
    return found


def absolute(node: ast.ImportFrom, path: Path) -> str:
    folder = path.relative_to(PACKAGE.parent).parent.parts[: -(node.level - 1) or None]
    return ".".join([*folder, *filter(None, [node.module])]) if node.level else node.module or ""


def test_library_code_never_prints() -> None:
    for path in FILES:
        calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"], path


def test_no_data_can_become_code() -> None:
    """A photo, a catalog or a kept file may come from anybody: nothing is read that could name a function to call."""
    forbidden = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle"}
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert not {alias.name.split(".")[0] for alias in node.names} & forbidden, path
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in forbidden, path
            elif isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                assert name not in {"eval", "exec", "unsafe_load", "full_load"}, path
                allowing = [k for k in node.keywords if k.arg == "allow_pickle"]
                assert all(isinstance(k.value, ast.Constant) and k.value.value is False for k in allowing), path
                assert name != "load" or not is_numpy(node.func) or allowing, f"{path}: say allow_pickle=False"


def is_numpy(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "np"
