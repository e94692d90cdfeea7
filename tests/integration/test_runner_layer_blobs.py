"""What int8 layers tell one another of the blobs between them, and where that would not be true."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runner_chain import OUTPUTS, Chain, infer_chain, write_chain
from runner_layer_cases import RELU, SEED
from runner_layer_reference import largest_sums
from runner_models import Int8Arrays
from runner_program import CORES, Runner

pytestmark = pytest.mark.cross


def _opposed(arrays: Int8Arrays, *, input_sign: int) -> Int8Arrays:
    """Make the first channel's sums largest in the upper left corner, where its taps below zero meet padding.

    Its codes are just few enough to be folded where the input is taken for one that never is negative.
    """
    weights = arrays.weights.reshape(len(arrays.weights), -1, 3, 3).copy()
    weights[0] = 127
    weights[0, :, 0] = weights[0, :, :, 0] = -127
    flat = weights.reshape(arrays.weights.shape)
    input_scale = np.float32(input_sign * arrays.input_scale)
    scales = arrays.weight_scales.copy()
    bound = largest_sums(flat[:1], not_negative=True)[0]
    scales[0] = arrays.output_scale * bound / (32000 * arrays.input_scale)
    bias = arrays.bias.copy()
    bias[0] = 0
    return replace(arrays, weights=flat, weight_scales=scales, input_scale=input_scale, bias=bias)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize(("pad_code", "input_sign"), [(-127, 1), (127, -1)])
def test_padding_of_the_other_sign_than_a_relus_output_is_reckoned_with(
    runner: Runner, tmp_path: Path, core: str, pad_code: int, input_sign: int
) -> None:
    """What follows a ReLU bounds its sums by that. Those of float outputs are beyond 2^22, too."""
    image = np.random.default_rng(SEED).normal(0, 1, (8, 9, 11)).astype(np.float32)
    image[:, :2, :2] = 10
    chain = Chain(image=image)
    how: dict[str, Any] = {"kernel": (3, 3), "padding": (1, 1, 1, 1), "pad_code": pad_code}
    how["change"] = lambda arrays: _opposed(arrays, input_sign=input_sign)
    chain.convolution(
        "in0",
        "stem",
        48,
        requantizes=input_sign > 0,
        activation=RELU,
        change=lambda arrays: replace(arrays, weights=np.abs(arrays.weights)),
    )
    chain.split("stem", "stem_a", "stem_b", "stem_c")
    chain.depthwise("stem_a", "out_a", **how)
    chain.convolution("stem_b", "out_b", 16, **how)
    chain.convolution("stem_c", "out_c", 16, requantizes=False, **how)
    release = write_chain(tmp_path / "release", chain)
    document = runner.document("bench", "--release", release, "--runs", "1", "--layers", core=core)
    implementations = {layer["implementation"] for layer in document["layers"] if layer["type"] != "Split"}
    assert implementations == {"edgedeploy"}
    made = infer_chain(runner, release, tmp_path / "made", core=core)
    for name in OUTPUTS:
        expected = chain.blobs[name].astype(np.float32)
        assert len(np.unique(expected)) > 10
        np.testing.assert_array_equal(made[name].view(np.uint32), expected.view(np.uint32), err_msg=name)
