from collections.abc import Sequence
from typing import Literal, TypedDict, overload

import numpy as np
from numpy.typing import NDArray

class Kernel(TypedDict):
    """A row of the kernel table. ``op`` is such as ``gemm_s8``, ``conv_s8`` or ``depthwise_s8_3x3s1``."""

    name: str
    op: str
    isa: list[str]
    tile: tuple[int, int, int]
    tolerance: float
    reference: str
    supported: bool
    selected: bool

Color = Literal["bgr", "rgb", "gray"]
Activation = Literal["none", "relu", "leaky_relu", "clip", "hardswish"]
CurvedActivation = Activation | Literal["sigmoid", "mish"]
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

@overload
def conv_s8(
    image: NDArray[np.int8],
    weights: NDArray[np.int8],
    scale: Floats,
    bias: Floats | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    pad_code: int = 0,
    low: float = ...,
    high: float = ...,
    codes: Literal[False] = False,
    activation: CurvedActivation = "none",
    alpha: float = 0.0,
    beta: float = 0.0,
    out_scale: float = 1.0,
    variant: str | None = None,
) -> NDArray[np.float32]: ...
@overload
def conv_s8(
    image: NDArray[np.int8],
    weights: NDArray[np.int8],
    scale: Floats,
    bias: Floats | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    pad_code: int = 0,
    low: float = ...,
    high: float = ...,
    codes: Literal[True],
    activation: CurvedActivation = "none",
    alpha: float = 0.0,
    beta: float = 0.0,
    out_scale: float = 1.0,
    variant: str | None = None,
) -> NDArray[np.int8]:
    """Convolve int8: ``fma(sum of image * weights, scale, bias)`` within the limits.

    Args:
        image: int8, C x height x width.
        weights: int8, N x C x window height x window width, values in [-127, 127].
        scale: float32, a value for each channel of output.
        bias: Likewise; none means zero.
        stride: Pixels from a window to the next, both ways.
        padding: Pixels on each side.
        dilation: Pixels from a tap to the next, both ways.
        pad_code: Their value, in [-128, 127].
        low: Nothing below it comes out. In codes where ``codes``, a whole number then. Of activation ``none`` alone.
        high: Nothing above it comes out. Likewise; not 0 for float32.
        codes: Return int8: ``scale`` and ``bias`` are in codes, values are rounded half up and clamped to +-127.
        activation: ``leaky_relu`` takes its slope from ``alpha``, 0 or more; ``clip`` its limits from ``alpha`` and
            ``beta``, as ``low`` and ``high`` are; ``hardswish`` multiplies the value v by ``v * alpha + beta`` within 0
            and 1, ``alpha`` above 0. ``sigmoid`` and ``mish`` are off by less than 1e-5 of their values.
        alpha: See ``activation``.
        beta: See ``activation``.
        out_scale: Where ``codes``, how many codes a one is: ``hardswish``, ``sigmoid`` and ``mish`` are those of
            values, which are the codes before them by it.
        variant: Name of a kernel in ``kernels()``; without it dispatch chooses.

    Returns:
        N x height x width of the windows that fit, int8 with ``codes``, else float32.

    Raises:
        OpsError: wrong type or shape, -128 in ``weights``, sums of more than 131071 products (channels count by
            eights), a window that does not fit, limits out of order or beside an activation, figures that an
            activation does not take, unknown activation or variant.
    """

@overload
def depthwise_s8(
    image: NDArray[np.int8],
    weights: NDArray[np.int8],
    scale: Floats,
    bias: Floats | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    pad_code: int = 0,
    low: float = ...,
    high: float = ...,
    codes: Literal[False] = False,
    activation: CurvedActivation = "none",
    alpha: float = 0.0,
    beta: float = 0.0,
    out_scale: float = 1.0,
    variant: str | None = None,
) -> NDArray[np.float32]: ...
@overload
def depthwise_s8(
    image: NDArray[np.int8],
    weights: NDArray[np.int8],
    scale: Floats,
    bias: Floats | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    pad_code: int = 0,
    low: float = ...,
    high: float = ...,
    codes: Literal[True],
    activation: CurvedActivation = "none",
    alpha: float = 0.0,
    beta: float = 0.0,
    out_scale: float = 1.0,
    variant: str | None = None,
) -> NDArray[np.int8]:
    """Convolve each channel of int8 by itself: ``fma(sum of image * weights, scale, bias)`` within the limits.

    Args:
        image: int8, C x height x width.
        weights: int8, C x 3 x 3 or C x 5 x 5, values in [-127, 127].
        scale: float32, a value for each channel of output.
        bias: Likewise; none means zero.
        stride: Pixels from a window to the next, both ways, 1 or 2.
        padding: Pixels on each side, less than the window has.
        pad_code: Their value, in [-128, 127].
        low: Nothing below it comes out. In codes where ``codes``, a whole number then. Of activation ``none`` alone.
        high: Nothing above it comes out. Likewise; not 0 for float32.
        codes: Return int8: ``scale`` and ``bias`` are in codes, values are rounded half up and clamped to +-127.
        activation: ``leaky_relu`` takes its slope from ``alpha``, 0 or more; ``clip`` its limits from ``alpha`` and
            ``beta``, as ``low`` and ``high`` are; ``hardswish`` multiplies the value v by ``v * alpha + beta`` within 0
            and 1, ``alpha`` above 0. ``sigmoid`` and ``mish`` are off by less than 1e-5 of their values.
        alpha: See ``activation``.
        beta: See ``activation``.
        out_scale: Where ``codes``, how many codes a one is: ``hardswish``, ``sigmoid`` and ``mish`` are those of
            values, which are the codes before them by it.
        variant: Name of a kernel in ``kernels()``; without it dispatch chooses.

    Returns:
        C x height x width of the windows that fit, int8 with ``codes``, else float32.

    Raises:
        OpsError: wrong type or shape, -128 in ``weights``, another window or stride, a window that does not fit, limits
            out of order or beside an activation, figures that an activation does not take, unknown activation or
            variant.
    """
