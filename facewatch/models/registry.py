"""The packs of insightface's model zoo that facewatch can fetch, and what their files must be."""

from __future__ import annotations

from dataclasses import dataclass

INSIGHTFACE_LICENCE = "InsightFace weights: for non-commercial research only"


@dataclass(frozen=True, slots=True)
class PackFile:
    """A file, and what tells that its content is the right one."""

    name: str
    size: int
    """Bytes."""
    sha256: str
    """64 hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class PackRecord:
    """What a pack consists of, whether facewatch knows it or found it out when the files came."""

    name: str
    detector: PackFile
    recogniser: PackFile
    n_dims: int
    """The length of the recogniser's embeddings."""
    licence: str

    @property
    def files(self) -> tuple[PackFile, PackFile]:
        return self.detector, self.recogniser

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.detector.size + self.recogniser.size


@dataclass(frozen=True, slots=True)
class KnownPack(PackRecord):
    """A pack that can be fetched."""

    archive: PackFile
    """The zip on the release page; it holds more models than the two that are kept. The two files' SHA-256 decide."""


_DET_10G = PackFile("det_10g.onnx", 16_923_827, "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91")
_DET_2_5G = PackFile("det_2.5g.onnx", 3_292_009, "041f73f47371333d1d17a6fee6c8ab4e6aecabefe398ff32cca4e2d5eaee0af9")
_DET_500M = PackFile("det_500m.onnx", 2_524_817, "5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a")
_W600K_R50 = PackFile("w600k_r50.onnx", 174_383_860, "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43")
_W600K_MBF = PackFile("w600k_mbf.onnx", 13_616_099, "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f")
_GLINTR100 = PackFile("glintr100.onnx", 260_665_334, "4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf")


def _pack(name: str, detector: PackFile, recogniser: PackFile, size: int, sha256: str) -> KnownPack:
    archive = PackFile(f"{name}.zip", size, sha256)
    return KnownPack(name, detector, recogniser, n_dims=512, licence=INSIGHTFACE_LICENCE, archive=archive)


# Every SHA-256 and size was found in at least two public sources that do not depend on each other; the archives are the
# same bytes under the release tags v0.7 and model-zoo. antelopev2's detector is det_10g under another name.
REGISTRY = {
    pack.name: pack
    for pack in (
        _pack(
            "buffalo_l",
            _DET_10G,
            _W600K_R50,
            288_621_354,
            "80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f",
        ),
        _pack(
            "buffalo_m",
            _DET_2_5G,
            _W600K_R50,
            275_951_529,
            "d98264bd8f2dc75cbc2ddce2a14e636e02bb857b3051c234b737bf3b614edca9",
        ),
        _pack(
            "buffalo_s",
            _DET_500M,
            _W600K_MBF,
            127_607_557,
            "d85a87f503f691807cd8bb97128bdf7a0660326cd9cd02657127fa978bab8b5e",
        ),
        _pack(
            "antelopev2",
            PackFile("scrfd_10g_bnkps.onnx", _DET_10G.size, _DET_10G.sha256),
            _GLINTR100,
            360_662_982,
            "8e182f14fc6e80b3bfa375b33eb6cff7ee05d8ef7633e738d1c89021dcf0c5c5",
        ),
    )
}
"""By name, as it stands behind "insightface:"."""
