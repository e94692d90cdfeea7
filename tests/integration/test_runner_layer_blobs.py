"""What int8 layers tell one another of the blobs between them, and where that would not be true."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runner_chain import OUTPUTS, Chain, infer_chain, write_chain
from runner_layer_cases import RELU, SEED, batched
from runner_layer_reference import largest_sums
from runner_models import Int8Arrays
from runner_pooling import PoolWindow
from runner_program import CORES, Runner
from runner_release import ReleaseInput, write_release

pytestmark = pytest.mark.cross


def _opposed(arrays: Int8Arrays, *, input_sign: int = 1) -> Int8Arrays:
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


@pytest.mark.parametrize("core", ["cortex-a72", "cortex-a76"])
def test_a_blob_that_two_layers_name_stays_float_for_the_one_that_takes_no_codes(
    runner: Runner, tmp_path: Path, core: str
) -> None:
    """Without a Split, the engine's blob knows the last of its readers alone, which would be content with codes.

    ``out_a`` is no leaf, so the engine keeps blobs until all readers are done.
    """
    chain = Chain(image=np.random.default_rng(SEED).normal(0, 1, (8, 7, 9)).astype(np.float32))
    chain.convolution("in0", "out_a", 8)
    chain.convolution("out_a", "shared", 16, requantizes=False)
    chain.net.layer("BinaryOp", "half", ["shared"], ["out_b"], "0=2 1=1 2=0.5")
    chain.blobs["out_b"] = chain.blobs["shared"] * np.float32(0.5)
    chain.convolution("shared", "out_c", 8, requantizes=False)
    release = write_chain(tmp_path / "release", chain)
    made = infer_chain(runner, release, tmp_path / "made", core=core)
    for name in OUTPUTS:
        assert len(np.unique(made[name])) > 10
        np.testing.assert_array_equal(made[name], chain.blobs[name].astype(np.float32), err_msg=name)


@pytest.mark.parametrize("second_reader", ["layer", "output"])
def test_an_image_that_is_read_twice_is_given_as_float(runner: Runner, tmp_path: Path, second_reader: str) -> None:
    rng = np.random.default_rng(SEED)
    image = rng.integers(0, 256, (9, 11, 3)).astype(np.uint8)
    how = {"color": "bgr", "resize": "none", "mean": [128.0] * 3, "scale": [0.0625] * 3}
    floats = (image.transpose(2, 0, 1).astype(np.float32) - 128) * np.float32(0.0625)
    chain = Chain(image=floats)
    if second_reader == "layer":
        chain.net.layer("BinaryOp", "half", ["in0"], ["out_a"], "0=2 1=1 2=0.5")
        chain.blobs["out_a"] = floats * np.float32(0.5)
    chain.convolution("in0", "middle", 8, kernel=(3, 3))
    chain.convolution("middle", "out_b", 8, requantizes=False)
    names = ("out_a" if second_reader == "layer" else "in0", "middle", "out_b")
    outputs = {name: chain.blobs[name].astype(np.float32) for name in names}
    item = ReleaseInput(array=image, shape=(1, *floats.shape), preprocessing=how)
    release = tmp_path / "release"
    write_release(release, chain.net, inputs={"in0": item}, outputs=outputs)
    image_file = tmp_path / "image.npy"
    np.save(image_file, image)
    where = ("--input", f"in0={image_file}", "--output-dir", tmp_path / "made")
    runner.document("infer", "--release", release, *where, core="cortex-a76")
    for name, expected in outputs.items():
        np.testing.assert_array_equal(np.load(tmp_path / "made" / f"{name}.npy"), expected, err_msg=name)


@pytest.mark.parametrize("core", ["cortex-a72", "cortex-a76"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("kept", [(), ("pooled",)])
def test_an_input_may_be_a_blob_that_a_layer_makes(
    runner: Runner, tmp_path: Path, core: str, precision: str, kept: tuple[str, ...]
) -> None:
    """Behind a ReLU, and all that reads it could take codes; what is given is neither codes nor a ReLU's."""
    rng = np.random.default_rng(SEED)
    chain = Chain(image=rng.normal(0, 1, (8, 9, 10)).astype(np.float32))
    chain.convolution("in0", "first", 48, requantizes=False, activation=RELU, read_at=32)
    given = (np.rint(rng.normal(0, 1, chain.blobs["first"].shape) * 32) / 32).astype(np.float32)
    given[:, :3, :3] = 6
    given[:, 0, :3] = given[:, :3, 0] = -6
    chain.blobs["first"] = given
    chain.not_negative.clear()
    chain.split("first", "a", "b", "c", "d")
    chain.pool("a", "pooled", PoolWindow(kernel=(3, 3), stride=(1, 1), pad=(1, 1)))
    chain.split("pooled", "pooled_a")
    chain.concat(("b", "pooled_a"), "both")
    chain.convolution("both", "out_a", 8)
    chain.depthwise("c", "out_b", kernel=(3, 3), change=_opposed)
    chain.convolution("d", "out_c", 8, kernel=(3, 3), change=_opposed)
    outputs = {name: chain.blobs[name].astype(np.float32) for name in (*OUTPUTS, *kept)}
    release = tmp_path / "release"
    write_release(release, chain.net, inputs={"first": batched(given)}, outputs=outputs, precision=precision)
    where = ("--input", f"first={release}/golden/first.npy", "--output-dir", tmp_path / "made")
    runner.document("infer", "--release", release, *where, core=core)
    for name, expected in outputs.items():
        assert len(np.unique(expected)) > 10
        np.testing.assert_array_equal(np.load(tmp_path / "made" / f"{name}.npy"), expected, err_msg=name)
