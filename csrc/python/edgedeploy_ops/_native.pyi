from collections.abc import Sequence
from typing import Literal, TypedDict, overload

import numpy as np
from numpy.typing import NDArray

class Kernel(TypedDict):
    """A row of the kernel table."""

    name: str
    op: Literal["preprocess_u8f32", "gemm_s8"]
    isa: list[str]
    tile: tuple[int, int, int]
    tolerance: float
    reference: str
    supported: bool
    selected: bool

Color = Literal["bgr", "rgb", "gray"]
Activation = Literal["none", "relu", "leaky_relu", "clip", "hardswish"]
Floats = Sequence[float] | NDArray[np.float32] | NDArray[np.float64]

class OpsError(ValueError):
    """An array of the wrong type or shape, or a variant that is unknown or beyond this CPU."""

def kernels() -> list[Kernel]:
    """Return the kernels built for this architecture, in the order in which dispatch prefers them.

    ``tile`` is rows, columns and bytes of k a unit; ``isa`` what the CPU must have; ``selected`` what dispatch runs.
    """

def cpu_features() -> list[str]:
    """Return what the CPU has, in the names of ``/proc/cpuinfo`` (``asimddp``); empty unless on aarch64."""

def preprocess(
    image: NDArray[np.uint8],
    width: int,
    height: int,
    color: Color,
    mean: Floats,
    scale: Floats,
    *,
    variant: str | None = None,
) -> NDArray[np.float32]:
    """Resize an image bilinearly as OpenCV does and normalise it: ``(value - mean[c]) * scale[c]``.

    Args:
        image: uint8, height x width x 3, BGR; rows at any distance.
        width: Pixels of the result, 1 to 65535.
        height: Likewise.
        color: Order of the result's planes; ``gray`` gives one.
        mean: One value for each plane of the result, in its order.
        scale: Likewise.
        variant: Name of a kernel in ``kernels()``; without it dispatch chooses.

    Returns:
        float32, channels x height x width.

    Raises:
        OpsError: wrong type, shape, size or colour; unknown variant.
    """

@overload
def gemm(
    a: NDArray[np.int8],
    b: NDArray[np.int8],
    scale: Floats,
    bias: Floats | None = None,
    *,
    activation: Activation = "none",
    alpha: float = 0.0,
    beta: float = 0.0,
    out_scale: None = None,
    variant: str | None = None,
) -> NDArray[np.float32]: ...
@overload
def gemm(
    a: NDArray[np.int8],
    b: NDArray[np.int8],
    scale: Floats,
    bias: Floats | None = None,
    *,
    activation: Activation = "none",
    alpha: float = 0.0,
    beta: float = 0.0,
    out_scale: float,
    variant: str | None = None,
) -> NDArray[np.int8]:
    """Return ``activation((a @ b.T) * scale + bias)``, requantized to int8 when ``out_scale`` is given.

    Args:
        a: int8, M x K.
        b: int8, N x K (a row for each output channel), values in [-127, 127].
        scale: float32, N values.
        bias: float32, N values; none means zero.
        activation: ``leaky_relu`` takes its slope from ``alpha``, ``clip`` its limits from ``alpha`` and ``beta``,
            ``hardswish`` computes ``v * (v * alpha + beta)`` between its ends.
        alpha: See ``activation``.
        beta: See ``activation``.
        out_scale: Multiplies the value before it is rounded (half away from zero) and clamped to +-127.
        variant: Name of a kernel in ``kernels()``; without it dispatch chooses.

    Returns:
        M x N, int8 with ``out_scale``, else float32.

    Raises:
        OpsError: wrong type or shape, -128 in ``b``, k above 131071, unknown activation or variant.
    """
