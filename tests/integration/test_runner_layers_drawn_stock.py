"""Int8 layers that hypothesis draws, covered by this project's kernels or not, against the engine's own.

Unlike the fixed sweep of ``test_runner_layers.py`` a failure shrinks to the smallest layer that shows it.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
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
    MISH,
    NONE,
    PLAIN_ACTIVATIONS,
    RELU,
    SIGMOID,
    is_computed_here,
    is_fit,
    make_sweep,
)
from runner_models import SAME_LOWER, SAME_UPPER, ConvolutionCase
from runner_program import CORES, Runner

pytestmark = pytest.mark.cross

LAYERS_AT_ONCE = 12
# Of the requantized values one in a thousand may be one step off; in numbers as small as here a few more.
STEPS = 1 / 1000
SPARE_STEPS = 3
FLOAT_TOLERANCE = 1e-5
CURVED_TOLERANCE = 2e-5
CURVED = (SIGMOID, MISH)

SIZES = st.integers(1, 24)
CHANNELS = st.integers(1, 16).map(lambda eights: 8 * eights) | st.integers(1, 130)
WINDOW_SIDES = st.integers(1, 7)
STEPS_OF_WINDOWS = st.integers(1, 3)
ACTIVATIONS = st.sampled_from((NONE, RELU, CLIP, CLIP_BELOW, LEAKY, SIGMOID, MISH, HARD_SWISH))


@st.composite
def pairs(draw: st.DrawFn, numbers: st.SearchStrategy[int]) -> tuple[int, int]:
    """Mostly the same number twice, as networks have it."""
    first = draw(numbers)
    return first, draw(st.just(first) | numbers)


@st.composite
def inner_product(draw: st.DrawFn) -> ConvolutionCase:
    return ConvolutionCase(
        kind="InnerProduct",
        channels_in=draw(CHANNELS),
        channels_out=draw(CHANNELS),
        height=draw(st.integers(1, 4)),
        width=draw(st.integers(1, 4)),
        rows=draw(st.sampled_from((0, 1, 2, 7, 8, 9, 17))),
        requantizes=False,
        activation=draw(ACTIVATIONS),
        has_bias=draw(st.booleans()),
    )


@st.composite
def convolution(draw: st.DrawFn) -> ConvolutionCase:
    """Of one group, of a channel a group, or of groups of several channels."""
    form = draw(st.sampled_from(("dense", "dense", "depthwise", "depthwise", "grouped")))
    channels_in, channels_out, groups = draw(CHANNELS), draw(CHANNELS), 1
    if form == "depthwise":
        groups = channels_out = channels_in
    elif form == "grouped":
        groups = draw(st.integers(2, 16))
        channels_in, channels_out = (groups * draw(st.integers(1, 130 // groups)) for _ in range(2))
    is_plain = form == "depthwise" and draw(st.booleans())  # a window that depthwise kernels know
    kernel = draw(st.sampled_from(((3, 3), (5, 5)))) if is_plain else draw(pairs(WINDOW_SIDES))
    stride = draw(st.sampled_from(((1, 1), (2, 2)))) if is_plain else draw(pairs(STEPS_OF_WINDOWS))
    dilation = (1, 1) if is_plain else draw(pairs(STEPS_OF_WINDOWS))
    extent = [step * (size - 1) + 1 for step, size in zip(dilation, kernel, strict=True)]
    pads = st.tuples(*(st.integers(0, reach - 1) for reach in (*extent, *extent)))
    # The engine's layers of channels a group that are not whole eights know no others.
    by_eights = form == "dense" or (form == "depthwise" and channels_in % 8 == 0)
    return ConvolutionCase(
        kind="Convolution" if form == "dense" else "ConvolutionDepthWise",
        channels_in=channels_in,
        channels_out=channels_out,
        groups=groups,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        padding=draw(pads | st.sampled_from(((0, 0, 0, 0), SAME_UPPER, SAME_LOWER))),
        pad_code=draw(st.sampled_from((0, 5, -3, 64, 127, -127))),
        height=draw(SIZES),
        width=draw(SIZES),
        requantizes=draw(st.booleans()),
        activation=draw(ACTIVATIONS if by_eights else st.sampled_from(PLAIN_ACTIVATIONS)),
        has_bias=draw(st.booleans()),
        winograd=draw(st.booleans()),
    )


CONVOLUTIONS = convolution().filter(is_fit)
LAYERS = CONVOLUTIONS | CONVOLUTIONS | CONVOLUTIONS | inner_product()
DRAWN = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.large_base_example],
)


@dataclass
class Comparison:
    """What was drawn on a core, and how far its requantized values were the engine's."""

    runner: Runner
    core: str
    values: int = 0
    steps: int = 0
    seen: Counter[tuple[str, object]] = field(default_factory=Counter)

    def check(self, cases: tuple[ConvolutionCase, ...]) -> None:
        with tempfile.TemporaryDirectory() as directory:
            sweep = make_sweep(Path(directory) / "release", cases)
            made = sweep.infer(self.runner, Path(directory) / "made", core=self.core)
            stock = sweep.infer(self.runner, Path(directory) / "stock", "--disable-layers", core=self.core)
        for case, values, expected in zip(cases, made, stock, strict=True):
            self._note(case)
            if not is_computed_here(case, self.core):
                np.testing.assert_array_equal(values, expected, err_msg=str(case))
            elif case.requantizes:
                assert np.abs(values - expected).max() <= 1, case
                self.values += values.size
                self.steps += int(np.count_nonzero(values != expected))
            else:
                tolerance = CURVED_TOLERANCE if case.activation in CURVED else FLOAT_TOLERANCE
                np.testing.assert_allclose(values, expected, rtol=tolerance, atol=tolerance, err_msg=str(case))

    def _note(self, case: ConvolutionCase) -> None:
        groups = "one" if case.groups == 1 else "each channel" if case.groups == case.channels_in else "some"
        padding = {SAME_UPPER: "upper", SAME_LOWER: "lower"}.get(case.padding, "given" if any(case.padding) else "none")
        facts = {
            "kind": case.kind,
            "kernel": max(case.kernel),
            "stride": max(case.stride),
            "dilation": max(case.dilation),
            "padding": padding,
            "groups": groups,
            "activation": case.activation[0],
            "requantizes": case.requantizes,
            "bias": case.has_bias,
            "eights": case.channels_in % 8 == 0,
            "many channels": max(case.channels_in, case.channels_out) > 64,
            "ours": is_computed_here(case, self.core),
        }
        self.seen.update(facts.items())

    def check_what_was_drawn(self) -> None:
        assert self.steps <= self.values * STEPS + SPARE_STEPS, (self.steps, self.values)
        drawn: dict[str, set[object]] = {}
        for name, value in self.seen:
            drawn.setdefault(name, set()).add(value)
        both = {False, True}
        assert drawn == {
            "kind": {"Convolution", "ConvolutionDepthWise", "InnerProduct"},
            "kernel": set(range(1, 8)),
            "stride": {1, 2, 3},
            "dilation": {1, 2, 3},
            "padding": {"none", "given", "upper", "lower"},
            "groups": {"one", "each channel", "some"},
            "activation": set(range(7)),
            "requantizes": both,
            "bias": both,
            "eights": both,
            "many channels": both,
            "ours": both,
        }


def compare(runner: Runner, core: str, examples: int) -> None:
    comparison = Comparison(runner=runner, core=core)

    @settings(DRAWN, max_examples=examples)
    @given(st.lists(LAYERS, min_size=LAYERS_AT_ONCE, max_size=LAYERS_AT_ONCE).map(tuple))
    def check(cases: tuple[ConvolutionCase, ...]) -> None:
        comparison.check(cases)

    check()
    comparison.check_what_was_drawn()


@pytest.mark.parametrize("core", ["cortex-a72", "cortex-a76"])
def test_drawn_layers_are_the_engines(runner: Runner, core: str) -> None:
    compare(runner, core, 10)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("core", CORES)
def test_many_drawn_layers_are_the_engines(runner: Runner, core: str) -> None:
    compare(runner, core, 200)
