"""Modules of packages whose other parts are not needed, and take long to import."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from types import ModuleType


def import_alone(name: str, *, without: Iterable[str] = ()) -> ModuleType:
    """Return a module whose packages are not run: in their place stands, while it is imported, what only finds modules.

    insightface.model_zoo.scrfd alone takes 0.2 s instead of 0.8: insightface imports scikit-image, SciPy and requests,
    for cropping, drawing and fetching that facewatch does not use. What was imported before stays as it is.

    Args:
        without: modules that it imports and does without, empty ones in their place.
    """
    packages = [name[:at] for at, letter in enumerate(name) if letter == "."]
    before = {module: sys.modules[module] for module in (*packages, *without) if module in sys.modules}
    try:
        for module in (*packages, *without):
            if module not in before:
                sys.modules[module] = _empty(module, is_package=module in packages)
        return importlib.import_module(name)
    finally:
        for module in (*packages, *without):
            if module not in before:
                sys.modules.pop(module, None)


def _empty(name: str, *, is_package: bool) -> ModuleType:
    """Return a module that holds nothing; a package finds the modules in its folder."""
    module = ModuleType(name)
    if is_package:
        spec = importlib.util.find_spec(name)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        module.__spec__, module.__path__ = spec, list(spec.submodule_search_locations or ())
    return module
