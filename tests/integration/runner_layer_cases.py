"""Int8 layers to compare: the same random ones every time, and the release that holds them all.

Left out, for the engine's sake: its SAME padding overruns its own buffer where a window reaches less far than its
stride on one axis.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from runner_layer_reference import IN_REGISTERS
from runner_models import SAME_LOWER, SAME_UPPER, ConvolutionCase, FloatArray, Int8Arrays, NetWriter, add_convolution
from runner_program import Runner
from runner_release import ReleaseInput, write_release

SEED = 7
MAX_PRODUCTS = 1_500_000  # Of a case: emulation is slow.
SDOT_CORES = ("cortex-a76", "max")

NONE = (0, ())
RELU = (1, ())
LEAKY = (2, (0.125,))
CLIP = (3, (0.0, 6.0))
CLIP_BELOW = (3, (-2.5, 3.0))
SIGMOID = (4, ())
MISH = (5, ())
HARD_SWISH = (6, (1 / 6, 0.5))
ACTIVATIONS = (NONE, RELU, CLIP, LEAKY, CLIP_BELOW, SIGMOID, NONE, MISH, RELU, HARD_SWISH)
# The engine's depthwise convolution of channels that are not whole eights knows no others.
PLAIN_ACTIVATIONS = (NONE, RELU)

# Of an inner product that takes several inputs at once.
ROWS = (1, 3, 4, 5, 8, 13, 16)

# 1x1, (channels in, channels out): ones, whole and ragged tiles and packs, up to 130.
CHANNELS = (
    (1, 1), (2, 3), (3, 8), (4, 4), (5, 16), (7, 9), (8, 8), (12, 20), (15, 17), (16, 12), (24, 64), (31, 33),
    (33, 2), (64, 32), (96, 40), (127, 5), (128, 24), (130, 130),
)  # fmt: skip


def pointwise_cases() -> list[ConvolutionCase]:
    return [
        ConvolutionCase(
            channels_in=channels_in,
            channels_out=channels_out,
            height=1 + index % 11,
            width=1 + index * 5 % 17,
            requantizes=requantizes,
            activation=ACTIVATIONS[(index + requantizes) % len(ACTIVATIONS)],
            has_bias=index % 4 != 1,
        )
        for index, (channels_in, channels_out) in enumerate(CHANNELS)
        for requantizes in (True, False)
    ]


def is_fit(case: ConvolutionCase) -> bool:
    channels, height, width = case.output_shape
    by_rule = case.padding in (SAME_UPPER, SAME_LOWER)
    if by_rule and any(extent < stride for extent, stride in zip(case.extent, case.stride, strict=True)):
        return False
    return height > 0 and width > 0 and channels * height * width * case.products <= MAX_PRODUCTS


def _padding(rng: np.random.Generator, extent: tuple[int, int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = (int(rng.integers(0, reach + 1)) for reach in (*extent, *extent))
    forms = ((0, 0, 0, 0), (left, left, left, left), (left, top, right, bottom), SAME_UPPER, SAME_LOWER)
    return forms[rng.choice(5, p=(0.2, 0.2, 0.3, 0.15, 0.15))]


def _channels(rng: np.random.Generator) -> int:
    return int(8 * rng.integers(1, 17) if rng.random() < 0.5 else rng.integers(1, 131))


def _pair(rng: np.random.Generator, sizes: tuple[int, ...], *, alike: float) -> tuple[int, int]:
    """Two of the sizes, the same with at least the chance ``alike``."""
    first, second = (int(size) for size in rng.choice(sizes, 2))
    return (first, first) if rng.random() < alike else (first, second)


def _convolution(rng: np.random.Generator, index: int) -> ConvolutionCase:
    """A window of any shape; one in three is 3x3 with stride 1, which the engine may give to Winograd."""
    while True:
        is_winograd = index % 3 == 0
        kernel = (3, 3) if is_winograd else _pair(rng, (1, 2, 3, 3, 4, 5, 5, 6, 7), alike=0.6)
        stride = (1, 1) if is_winograd else _pair(rng, (1, 1, 2, 2, 3), alike=0.7)
        dilation = (1, 1) if is_winograd else _pair(rng, (1, 1, 1, 1, 2, 3), alike=0.7)
        case = ConvolutionCase(
            channels_in=3 if index % 8 == 1 else _channels(rng),
            channels_out=_channels(rng),
            kernel=kernel,
            stride=stride,
            dilation=dilation,
            pad_code=int(rng.choice((0, 0, 5, -3, 64, 127, -127))),
            height=int(rng.integers(1, 41)),
            width=int(rng.integers(1, 41)),
            requantizes=bool(rng.random() < 0.6),
            activation=ACTIVATIONS[index % len(ACTIVATIONS)],
            has_bias=bool(rng.random() < 0.8),
            winograd=index % 2 == 0,
        )
        case = replace(case, padding=_padding(rng, case.extent))
        if is_fit(case):
            return case


def _depthwise(rng: np.random.Generator, index: int) -> ConvolutionCase:
    """Half of them 3x3 or 5x5 with stride 1 or 2; the rest of any window, or of groups that are more than a channel."""
    while True:
        in_eights = index % 6 != 5
        is_covered = index % 2 == 0
        kernel = (3, 3) if index % 4 < 2 else (5, 5)
        stride = (1 + index // 4 % 2,) * 2
        channels = int(8 * rng.integers(1, 17)) if in_eights else int(rng.integers(1, 131))
        groups, channels_out = channels, channels
        if not is_covered:
            kernel = _pair(rng, (1, 2, 3, 5, 7), alike=0.5)
            stride = _pair(rng, (1, 2, 3), alike=0.5)
            if index % 8 == 1 and in_eights:
                groups, channels_out = channels // 8, 3 * channels // 8
        plain = not in_eights or groups != channels
        case = ConvolutionCase(
            kind="ConvolutionDepthWise",
            channels_in=channels,
            channels_out=channels_out,
            groups=groups,
            kernel=kernel,
            stride=stride,
            dilation=(1, 1) if is_covered else _pair(rng, (1, 1, 2), alike=0.8),
            pad_code=int(rng.choice((0, 0, 5, -3, 64, 127, -127))),
            height=int(rng.integers(1, 41)),
            width=int(rng.integers(1, 41)),
            requantizes=bool(rng.random() < 0.6),
            activation=PLAIN_ACTIVATIONS[index % 2] if plain else ACTIVATIONS[index // 2 % len(ACTIVATIONS)],
            has_bias=bool(rng.random() < 0.8),
        )
        reach = (case.extent[0] - 1, case.extent[1] - 1)
        case = replace(case, padding=_padding(rng, reach))
        if is_fit(case):
            return case


def _inner_product(rng: np.random.Generator, index: int) -> ConvolutionCase:
    return ConvolutionCase(
        kind="InnerProduct",
        channels_in=_channels(rng),
        channels_out=_channels(rng),
        height=1 + index % 4,
        width=1 + index % 3,
        rows=ROWS[index // 3 % len(ROWS)] if index % 3 == 2 else 0,
        requantizes=False,
        activation=ACTIVATIONS[index % len(ACTIVATIONS)],
        has_bias=index % 4 != 1,
    )


def gathered_cases() -> list[ConvolutionCase]:
    """Few channels in and many out: windows are copied, rows of them ``dilation`` apart."""
    return [
        ConvolutionCase(
            channels_in=channels,
            channels_out=64,
            kernel=(3, 3),
            stride=(stride, stride),
            dilation=(1, down),
            padding=(1, down, 0, 2),
            pad_code=-3,
            height=13,
            width=19,
            requantizes=requantizes,
        )
        for channels in (1, 3, 5)
        for down in (2, 3)
        for stride, requantizes in ((1, True), (2, False))
    ]


def sweep_cases() -> tuple[ConvolutionCase, ...]:
    rng = np.random.default_rng(SEED)
    cases = pointwise_cases()
    cases += [_convolution(rng, index) for index in range(120)]
    cases += [_depthwise(rng, index) for index in range(56)]
    cases += [_inner_product(rng, index) for index in range(20)]
    cases += gathered_cases()
    return tuple(cases)


def is_computed_here(case: ConvolutionCase, core: str) -> bool:
    """What the operator pack promises to compute itself."""
    if case.kind == "InnerProduct":
        return True
    if case.kind == "Convolution":
        is_3x3 = (case.kernel, case.stride, case.dilation) == ((3, 3), (1, 1), (1, 1))
        prefers_winograd = is_3x3 and case.winograd and min(case.channels_in, case.channels_out) >= 8
        fits_ours = case.channels_in % 8 == case.channels_out % 8 == 0 and case.activation[0] in IN_REGISTERS
        return core in SDOT_CORES or not prefers_winograd or fits_ours
    is_depthwise = case.groups == case.channels_in == case.channels_out and case.groups % 8 == 0
    window = case.kernel in ((3, 3), (5, 5)) and case.stride in ((1, 1), (2, 2)) and case.dilation == (1, 1)
    return is_depthwise and window and case.padding[0] < case.kernel[0] and case.padding[1] < case.kernel[1]


def has_exact_reference(case: ConvolutionCase) -> bool:
    return case.activation[0] in IN_REGISTERS and is_computed_here(case, "max")


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One release with a branch a case, so that one start of the program runs them all."""

    release: Path
    cases: tuple[ConvolutionCase, ...]
    arrays: tuple[Int8Arrays, ...]
    inputs: tuple[FloatArray, ...]

    def infer(self, runner: Runner, made: Path, *options: str, core: str, threads: str = "1") -> list[FloatArray]:
        inputs = [
            part
            for index in range(len(self.cases))
            for part in ("--input", f"in{index}={self.release}/golden/in{index}.npy")
        ]
        options = ("--output-dir", str(made), "--threads", threads, *options)
        runner.document("infer", "--release", self.release, *inputs, *options, core=core)
        return [np.load(made / f"out{index}.npy") for index in range(len(self.cases))]

    def implementations(self, runner: Runner, *, core: str) -> list[str]:
        """Who computes each case's layer."""
        options = ("--runs", "1", "--threads", "1", "--layers")
        document = runner.document("bench", "--release", self.release, *options, core=core)
        by_name = {layer["name"]: layer["implementation"] for layer in document["layers"]}
        return [by_name[f"layer{index}"] for index in range(len(self.cases))]


def make_sweep(
    directory: Path,
    cases: tuple[ConvolutionCase, ...],
    *,
    precision: str = "fp32",
    arrays: tuple[Int8Arrays, ...] | None = None,
    weight_bytes: int | None = None,
) -> Sweep:
    """Write the release.

    Args:
        arrays: Of each case, or random ones.
        weight_bytes: Length of a .bin that ends too early.
    """
    rng = np.random.default_rng(SEED)
    net = NetWriter()
    inputs: list[FloatArray] = []
    used: list[Int8Arrays] = []
    for index, case in enumerate(cases):
        net.layer("Input", f"in{index}", [], [f"in{index}"])
        given = arrays[index] if arrays else None
        names = {"name": f"layer{index}", "bottom": f"in{index}", "top": f"out{index}"}
        used.append(add_convolution(net, case, rng, arrays=given, **names))
        inputs.append(rng.normal(0, 1, case.input_shape).astype(np.float32))
    if weight_bytes is not None:
        del net.weights[weight_bytes:]
    write_release(
        directory,
        net,
        inputs={f"in{index}": batched(array) for index, array in enumerate(inputs)},
        outputs={f"out{index}": np.zeros(case.output_shape, np.float32) for index, case in enumerate(cases)},
        precision=precision,
    )
    return Sweep(release=directory, cases=cases, arrays=tuple(used), inputs=tuple(inputs))


def batched(array: NDArray[np.float32]) -> ReleaseInput:
    return ReleaseInput(array=array[None], shape=(1, *array.shape))
