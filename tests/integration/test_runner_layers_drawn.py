"""Int8 layers that hypothesis draws, and makes smaller where they fail, against numpy to the bit."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runner_layer_cases import (
    CLIP,
    CLIP_BELOW,
    HARD_SWISH,
    LEAKY,
    NONE,
    RELU,
    has_exact_reference,
    is_computed_here,
    is_fit,
    make_sweep,
)
from runner_layer_reference import outputs_of
from runner_models import SAME_LOWER, SAME_UPPER, ConvolutionCase
from runner_program import Runner

pytestmark = pytest.mark.cross

LAYERS_AT_ONCE = 6
SIZES = st.integers(1, 24)
CHANNELS = st.integers(1, 16).map(lambda eights: 8 * eights) | st.integers(1, 130)
WINDOW_SIDES = st.integers(1, 7)


@st.composite
def drawn_case(draw: st.DrawFn) -> ConvolutionCase:
    """A convolution, one in three of them depthwise."""
    depthwise = draw(st.integers(0, 2)) == 2
    channels = draw(CHANNELS)
    side = draw(WINDOW_SIDES)
    kernel = (side, side) if depthwise else (side, draw(st.just(side) | WINDOW_SIDES))
    stride = draw(st.integers(1, 3))
    dilation = 1 if depthwise else draw(st.integers(1, 3))
    extent = [dilation * (size - 1) + 1 for size in kernel]
    pads = st.tuples(*(st.integers(0, reach - 1) for reach in (*extent, *extent)))
    return ConvolutionCase(
        kind="ConvolutionDepthWise" if depthwise else "Convolution",
        channels_in=channels,
        channels_out=channels if depthwise else draw(CHANNELS),
        groups=channels if depthwise else 1,
        kernel=kernel,
        stride=(stride, stride),
        dilation=(dilation, dilation),
        padding=draw(pads | st.sampled_from((SAME_UPPER, SAME_LOWER))),
        pad_code=draw(st.sampled_from((0, 5, -3, 127, -127))),
        height=draw(SIZES),
        width=draw(SIZES),
        requantizes=draw(st.booleans()),
        activation=draw(st.sampled_from((NONE, RELU, CLIP, CLIP_BELOW, LEAKY, HARD_SWISH))),
        has_bias=draw(st.booleans()),
        winograd=draw(st.booleans()),
    )


def is_ours(case: ConvolutionCase) -> bool:
    """Whether every core's layer is this project's, with a reference that has its bits."""
    return is_fit(case) and has_exact_reference(case) and is_computed_here(case, "cortex-a72")


DRAWN_CASES = drawn_case().filter(is_ours)
DRAWN = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def check_drawn(runner: Runner, core: str, cases: tuple[ConvolutionCase, ...]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        sweep = make_sweep(Path(directory) / "release", cases)
        outputs = sweep.infer(runner, Path(directory) / "made", core=core)
    for index, case in enumerate(cases):
        expected = outputs_of(case, sweep.arrays[index], sweep.inputs[index]).astype(np.float32)
        np.testing.assert_array_equal(outputs[index].view(np.uint32), expected.view(np.uint32), err_msg=str(case))


@pytest.mark.parametrize("core", ["cortex-a72", "cortex-a76"])
def test_drawn_layers_are_numpys_bit_for_bit(runner: Runner, core: str) -> None:
    @settings(DRAWN, max_examples=40)
    @given(st.lists(DRAWN_CASES, min_size=LAYERS_AT_ONCE, max_size=LAYERS_AT_ONCE).map(tuple))
    def check(cases: tuple[ConvolutionCase, ...]) -> None:
        check_drawn(runner, core, cases)

    check()


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("core", ["cortex-a53", "cortex-a72", "cortex-a76", "max"])
def test_many_drawn_layers_are_numpys_bit_for_bit(runner: Runner, core: str) -> None:
    @settings(DRAWN, max_examples=300)
    @given(st.lists(DRAWN_CASES, min_size=1, max_size=LAYERS_AT_ONCE).map(tuple))
    def check(cases: tuple[ConvolutionCase, ...]) -> None:
        check_drawn(runner, core, cases)

    check()
