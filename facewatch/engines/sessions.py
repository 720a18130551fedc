"""onnxruntime's sessions: on which device a network runs, and what its errors mean."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from facewatch.errors import EngineError

log = logging.getLogger(__name__)

CPU = "CPUExecutionProvider"

_PROVIDERS = {"cpu": CPU, "cuda": "CUDAExecutionProvider", "coreml": "CoreMLExecutionProvider"}
_REMEDIES = {
    "cuda": "pip uninstall onnxruntime, then pip install onnxruntime-gpu",
    "coreml": "pip install onnxruntime on macOS",
}
_OUT_OF_MEMORY = ("out of memory", "failed to allocate", "bfcarena", "bad_alloc", "resource exhausted")


def _onnxruntime() -> Any:
    # Before it is imported: onnxruntime's wheels report their use to their maker otherwise. Nothing leaves here.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


def open_session(model: str | bytes, providers: Sequence[str] = (CPU,), *, n_threads: int = 1) -> Any:
    """Return a session for a model: a file, or its content."""
    onnxruntime = _onnxruntime()
    options = onnxruntime.SessionOptions()
    # Photos are analysed in one process a core; threads that wait by spinning would take the others' time.
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Warnings about shapes that differ from picture to picture, as they are meant to.
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=list(providers))


class Sessions:
    """Makes onnxruntime sessions on one device."""

    def __init__(self, device: str, n_threads: int) -> None:
        """Choose the providers.

        Raises:
            EngineError: onnxruntime here has none for this device.
        """
        self.n_threads = n_threads
        self.device = device
        self.providers = choose_providers(device, _onnxruntime().get_available_providers())

    @property
    def is_on_cpu(self) -> bool:
        return self.providers[0] == CPU

    def load(
        self,
        path: os.PathLike[str],
        *,
        is_on_cpu: bool = False,
        for_cpu: Callable[[bytes], bytes] | None = None,
    ) -> Any:
        """Return a session for a model file; `for_cpu` makes of its content what the CPU runs faster. Where that fails
        the model is taken as it is.

        Raises:
            EngineError: it is not a model that onnxruntime can run, or the device cannot be used.
        """
        providers = [CPU] if is_on_cpu else self.providers
        try:
            session = self._rewritten(Path(path), for_cpu) if for_cpu is not None and providers[0] == CPU else None
            session = session or open_session(os.fspath(path), providers, n_threads=self.n_threads)
        except Exception as error:  # onnxruntime raises classes of its own below Exception, one for each status
            raise EngineError(
                f"{path}: not a model that can be used ({one_line(error)}); `facewatch models verify` shows which "
                "files are damaged, `facewatch models fetch` or `import` brings them again"
            ) from error
        if providers[0] not in session.get_providers() and self.device != "auto":
            raise EngineError(
                f"device {self.device!r}: onnxruntime cannot use it here (its libraries are missing or do not fit); "
                f'{_REMEDIES.get(self.device, "")}, or set device = "auto"'
            )
        return session

    def _rewritten(self, path: Path, rewrite: Callable[[bytes], bytes]) -> Any:
        """Return a session for a model that was rewritten; None: it cannot be, or not run then."""
        try:
            return open_session(rewrite(path.read_bytes()), [CPU], n_threads=self.n_threads)
        except Exception as error:  # onnxruntime raises classes of its own below Exception, one for each status
            log.debug("%s: not rewritten for the CPU (%s)", path, one_line(error))
            return None


def is_built_for_cuda() -> bool:
    """Whether the onnxruntime here has what CUDA needs, without importing it, which takes 0.1 s."""
    spec = importlib.util.find_spec("onnxruntime")
    places = (spec.submodule_search_locations if spec else None) or ()
    return any(any(Path(place, "capi").glob("*onnxruntime_providers_cuda*")) for place in places)


def choose_providers(device: str, available: Sequence[str]) -> list[str]:
    """Return onnxruntime's providers for a device, the CPU behind it for what the device cannot do.

    "auto" takes CUDA where it is there and else the CPU: Core ML compiles again for every size of picture, so it has to
    be asked for.

    Raises:
        EngineError: onnxruntime has no provider for this device; the message names the package that has.
    """
    wanted = _PROVIDERS["cuda" if device == "auto" else device]
    if wanted in available:
        return list(dict.fromkeys([wanted, CPU]))
    if device == "auto":
        return [CPU]
    has = ", ".join(name for name, provider in _PROVIDERS.items() if provider in available)
    raise EngineError(f"device {device!r}: the onnxruntime installed here has only {has}; {_REMEDIES[device]}")


def is_out_of_memory(error: Exception) -> bool:
    return any(sign in str(error).lower() for sign in _OUT_OF_MEMORY)


def is_on_cpu(session: Any) -> bool:
    return bool(session.get_providers() == [CPU])


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
