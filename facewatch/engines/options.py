"""The settings of [engine] that only some engines have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """One setting, named as its field of `EngineOptions`."""

    name: str
    help: str
    choices: tuple[str, ...] = ()
    """The first is the default; without any it is a whole path, or empty."""


OPTIONS = (
    Option(
        "detector",
        'Of face_recognition: "yunet" finds most, "hog" only frontal faces, "cnn" turned ones, too, a hundred times '
        'slower; "auto": yunet where its package is installed, else hog. For photos to come.',
        ("auto", "yunet", "hog", "cnn"),
    ),
    Option("models", "Where the packs of InsightFace are kept; empty: the cache folder of your system."),
    Option(
        "device",
        'Where InsightFace runs: "cpu", "cuda" or "coreml"; "auto" is CUDA where onnxruntime has it, else the CPU.',
        ("auto", "cpu", "cuda", "coreml"),
    ),
    Option(
        "runtime",
        'What runs InsightFace\'s recogniser: "onnxruntime"; "openvino" (pip install --no-deps openvino); "auto": '
        "openvino where it is installed, faster, and proved to give the same vectors. The CPU only.",
        ("auto", "onnxruntime", "openvino"),
    ),
)


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Options for running an engine; plain values, because engines are made in worker processes."""

    detector: str = "auto"
    device: str = "auto"
    runtime: str = "onnxruntime"
    """Not "auto": whoever loads an engine by hand gets the same numbers on every machine."""
    models: str = ""
    """Empty: where `models.models_folder` says."""
    n_threads: int = 1
    """In one process: photos are analysed in one process a core, and threads within one would only fight."""
