"""What the stages hand to each other: frozen, keyword-only dataclasses, no behaviour beyond derived values.

Units are in the names (``_us`` microseconds, ``_s`` seconds, ``_bytes``). Paths are absolute. Shapes are tuples in the
order of the array they describe; a model's input shapes include the batch dimension, which is always 1.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedeploy.healthfile import Health

FloatArray = NDArray[np.float32]


class Provenance(str, Enum):
    """Where a result was measured. Only ``HARDWARE`` may be shown as a board's latency."""

    HARDWARE = "hardware"
    QEMU_SYSTEM = "qemu-system"
    QEMU_USER = "qemu-user"


class Clock(str, Enum):
    """What a second of the guest means: host time, or a fixed number of instructions (deterministic)."""

    REAL = "real"
    INSTRUCTIONS = "instructions"


class ColorOrder(str, Enum):
    """Channel order the model wants. Images are read as BGR (OpenCV) and handed to the runner as BGR bytes."""

    BGR = "bgr"
    RGB = "rgb"
    GRAY = "gray"


class Resize(str, Enum):
    """How an image reaches the input's height and width."""

    BILINEAR = "bilinear"
    NONE = "none"


class Precision(str, Enum):
    """What float layers store and compute in, where the CPU can; each step down risks more for speed.

    ``FP16_STORAGE`` keeps weights and activations in half precision and computes in float32. ``FP16`` computes in half
    precision as well: up to twice as fast on cores with it (A55, A76 and later), but values beyond 65504 overflow.
    """

    FP32 = "fp32"
    FP16_STORAGE = "fp16-storage"
    FP16 = "fp16"

    @property
    def half_weights(self) -> bool:
        return self is not Precision.FP32


class PostprocessingKind(str, Enum):
    """What the runner does to the outputs after inference, timed apart."""

    NONE = "none"
    ARGMAX = "argmax"
    THRESHOLD = "threshold"


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Image bytes to input tensor: resize, reorder channels, then ``(value - mean[c]) * scale[c]``.

    ``mean`` and ``scale`` are in the model's channel order, in units of 0..255 bytes.
    """

    color: ColorOrder
    resize: Resize
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        colors = {"color": self.color.value, "resize": self.resize.value}
        return {**colors, "mean": list(self.mean), "scale": list(self.scale)}


@dataclass(frozen=True, kw_only=True)
class Postprocessing:
    kind: PostprocessingKind = PostprocessingKind.NONE
    threshold: float = 0.5

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind.value, "threshold": self.threshold}


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """One input of the model.

    Args:
        name: The name in the source model (ONNX) or ``in0``, ``in1`` ... (TorchScript).
        shape: Static, batch first and 1, for example ``(1, 3, 192, 384)``.
        preprocessing: None for an input that takes float32 tensors as they are.
    """

    name: str
    shape: tuple[int, ...]
    preprocessing: Preprocessing | None = None


def canonical_json(document: object) -> bytes:
    """Return JSON with sorted keys and no spaces, UTF-8, one newline at the end: the form that digests are taken of."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One real input set: what calibration, the compare gate and the golden self-test feed.

    Args:
        name: For people: a file name.
        raw: Input name -> what the runner reads: uint8 ``(H, W, 3)`` BGR for inputs with preprocessing, else float32.
        tensors: Input name -> float32 with the input's full shape: what the model is fed on the host.
    """

    name: str
    raw: dict[str, NDArray[Any]]
    tensors: dict[str, FloatArray]


@dataclass(frozen=True, kw_only=True)
class OutputComparison:
    """How one output of ncnn differs from the original's, worst over all samples."""

    name: str
    shape: tuple[int, ...]
    max_abs_error: float
    cosine: float
    sqnr_db: float
    passed: bool


@dataclass(frozen=True, kw_only=True)
class ComparisonLimits:
    max_abs_error: float = 1e-2
    cosine: float = 0.999
    sqnr_db: float = 30.0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The compare gate's result. ``reference`` says what the original ran in, for example ``onnxruntime 1.32.0``."""

    reference: str
    samples: int
    limits: ComparisonLimits
    outputs: tuple[OutputComparison, ...]

    @property
    def passed(self) -> bool:
        return all(item.passed for item in self.outputs)


@dataclass(frozen=True, kw_only=True)
class ModelOutput:
    """An output blob. ``name`` is ncnn's (``out0``), ``source_name`` the original's; shape is ncnn's, without batch."""

    name: str
    source_name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ConvertedModel:
    """An ncnn model on disk. ``inputs`` carry ncnn's names (``in0``), ``source_inputs`` the user's, in one order."""

    param: Path
    weights: Path
    inputs: tuple[InputSpec, ...]
    source_inputs: tuple[InputSpec, ...]
    outputs: tuple[ModelOutput, ...]
    source_sha256: str
    converter_version: str
    comparison: Comparison | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BinaryRequirements:
    """What a binary needs of the board, read from its ELF files. ``glibc`` is None for a static program.

    ``isa`` lists only the features used without a run-time check (names as in /proc/cpuinfo, such as ``asimd``).
    """

    architecture: str
    isa: tuple[str, ...]
    glibc: str | None
    glibc_symbol: str | None = None


@dataclass(frozen=True, kw_only=True)
class BuiltRuntime:
    """The binaries for a triple.

    Args:
        build_id: Hashes all that went in.
        symbols: The functions of ``runner``, which itself has no symbols: ``address size name`` a line.
        kernels: The table's rows compiled in.
        toolchain: Which family of compilers made it: ``debian`` or ``zig``.
    """

    triple: str
    build_id: str
    runner: Path
    symbols: Path
    requirements: BinaryRequirements
    engine_version: str
    compiler: str
    kernels: tuple[str, ...]
    toolchain: str = "debian"


@dataclass(frozen=True, kw_only=True)
class BundleFile:
    """One file of a release: ``path`` relative to it, ``source`` on the host, ``mode`` its permission bits."""

    path: PurePosixPath
    source: Path
    sha256: str
    size_bytes: int
    mode: int = 0o644


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A release ready to be pushed. ``digest`` is the SHA-256 of ``manifest.json``'s bytes and names the release.

    ``signatures`` are files of the release too, but not of the manifest, which they sign.
    """

    app: str
    board: str
    digest: str
    manifest: Path
    files: tuple[BundleFile, ...]
    requirements: BinaryRequirements
    memory_bytes: int
    signatures: tuple[BundleFile, ...] = ()

    @property
    def size_bytes(self) -> int:
        return sum(item.size_bytes for item in self.files) + self.manifest.stat().st_size


@dataclass(frozen=True, kw_only=True)
class SshEndpoint:
    """Where a board answers and how to prove who is who.

    Args:
        known_hosts: A known_hosts file; None means the user's own ``~/.ssh/known_hosts``.
        host_key_fingerprint: ``SHA256:...`` accepted at first contact; a known key always has precedence.
        key_file: A private key; None means the agent and the user's default keys.
    """

    host: str
    port: int = 22
    user: str
    key_file: Path | None = None
    known_hosts: Path | None = None
    host_key_fingerprint: str | None = None

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class TwinEndpoint:
    """A running twin: its SSH endpoint and what kind of clock it runs on."""

    name: str
    board: str
    ssh: SshEndpoint
    clock: Clock
    core: str
    vcpus: int
    memory_mib: int
    pid: int
    boot_s: float


@dataclass(frozen=True, kw_only=True)
class CpuCore:
    """One core of a live board: index, MIDR implementer and part number as in /proc/cpuinfo (``0x41``, ``0xd08``)."""

    index: int
    implementer: str
    part: str
    features: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ThermalZone:
    name: str
    kind: str
    millicelsius: int | None


@dataclass(frozen=True, kw_only=True)
class BoardFacts:
    """What a live board says about itself. Missing facts (no cpufreq on a twin) are None or empty, never guessed.

    ``loaders`` are the dynamic loaders at the paths that programs name (``/lib/ld-linux-aarch64.so.1``).
    """

    architecture: str
    kernel: str
    os_name: str
    libc: str | None
    cores: tuple[CpuCore, ...]
    memory_total_bytes: int
    memory_available_bytes: int
    governors: dict[str, str] = field(default_factory=dict)
    max_frequencies_khz: dict[str, int] = field(default_factory=dict)
    thermal_zones: tuple[ThermalZone, ...] = ()
    model: str | None = None
    loaders: tuple[str, ...] = ()

    @property
    def features(self) -> frozenset[str]:
        """ISA features that every core has."""
        if not self.cores:
            return frozenset()
        return frozenset.intersection(*(frozenset(core.features) for core in self.cores))


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One step of a flash: how long it took on the host's clock, what travelled, how many round trips it cost."""

    name: str
    seconds: float
    bytes: int = 0
    round_trips: int = 0
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class GoldenOutput:
    """How an output compared on the board. ``sqnr_db`` is not a number where the outputs were equal bit for bit."""

    name: str
    cosine: float
    max_abs_error: float
    sqnr_db: float
    passed: bool

    def to_json(self) -> dict[str, Any]:
        """Return the fields with null for what is no finite number: JSON has neither infinity nor NaN."""
        values = asdict(self).items()
        return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in values}


@dataclass(frozen=True, kw_only=True)
class FlashResult:
    """What ``flash --json`` prints. ``verified`` is true only after the golden self-test passed on the board.

    ``health`` is what the active release proved after that; None for a trial.
    """

    app: str
    board: str
    provenance: Provenance
    clock: Clock | None
    release: str
    previous_release: str | None
    verified: bool
    unchanged: bool
    golden: tuple[GoldenOutput, ...]
    steps: tuple[StepRecord, ...]
    health: Health | None

    def to_json(self) -> dict[str, Any]:
        document = asdict(self)
        document["provenance"] = self.provenance.value
        document["clock"] = self.clock.value if self.clock else None
        document["golden"] = {
            "cosine": min((item.cosine for item in self.golden), default=None),
            "max_abs_error": max((item.max_abs_error for item in self.golden), default=None),
            "outputs": [item.to_json() for item in self.golden],
        }
        return document
