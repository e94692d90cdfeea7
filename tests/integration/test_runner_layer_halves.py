"""Halves between int8 layers, to the last bit: of short and long sums, with codes beside them, and of images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from runner_chain import Chain
from runner_halves_reference import WITHOUT_SMMLA, folded_values, halves_of
from runner_layer_cases import NONE, RELU, SEED, batched
from runner_layer_reference import half_away, largest_sums, quantize
from runner_models import ConvolutionCase, FloatArray, Int8Arrays, NetWriter, add_convolution, random_arrays
from runner_pooling import PoolWindow
from runner_program import Runner
from runner_release import write_release

pytestmark = pytest.mark.cross

CORES_WITH_HALVES = ("cortex-a76", "max")
AROUND = (1, 1, 1, 1)


def exact_halves(arrays: Int8Arrays) -> Int8Arrays:
    """With a scale that is a power of two no product is rounded."""
    return replace(arrays, input_scale=np.float32(32))


def half_image(*shape: int) -> FloatArray:
    return np.random.default_rng(SEED).normal(0, 1, shape).astype(np.float16).astype(np.float32)


def outputs_of_release(runner: Runner, release: Path, made: Path, core: str, threads: int) -> dict[str, FloatArray]:
    given = ("--input", f"in0={release}/golden/in0.npy", "--output-dir", made, "--threads", str(threads))
    runner.document("infer", "--release", release, *given, core=core)
    return {path.stem: np.load(path) for path in made.glob("*.npy")}


@pytest.mark.parametrize("core", CORES_WITH_HALVES)
@pytest.mark.parametrize(("channels", "activation"), [(8, NONE), (8, RELU), (64, RELU), (64, NONE), (512, NONE)])
def test_sums_of_every_length_become_halves(
    runner: Runner, tmp_path: Path, core: str, channels: int, activation: tuple[int, tuple[float, ...]]
) -> None:
    """72 products are folded, 576 without their last bits, 4608 are too long for either. 49 pixels end in 5 and 4."""
    case = ConvolutionCase(
        channels_in=channels,
        channels_out=16,
        kernel=(3, 3),
        padding=AROUND,
        height=7,
        width=7,
        requantizes=False,
        activation=activation,
    )
    rng = np.random.default_rng(SEED)
    arrays = exact_halves(random_arrays(case, rng))
    image = half_image(channels, 7, 7)
    net = NetWriter()
    net.layer("Input", "in0", [], ["in0"])
    add_convolution(net, case, rng, arrays=arrays, name="out", bottom="in0", top="out")
    expected = halves_of(case, arrays, image, core=core).astype(np.float32)
    release = tmp_path / "release"
    write_release(release, net, inputs={"in0": batched(image)}, outputs={"out": expected}, precision="fp16")
    for threads in (1, 3):
        made = outputs_of_release(runner, release, tmp_path / str(threads), core, threads)["out"]
        np.testing.assert_array_equal(made.view(np.uint32), expected.view(np.uint32))


def test_the_reference_folds_short_sums_shifts_longer_ones_and_leaves_the_longest() -> None:
    sums = np.zeros((1, 1, 1), np.int64)
    scale, bias = np.full(1, 1e-5, np.float32), np.zeros(1, np.float32)
    for products, folded, shifted in ((72, True, True), (576, False, True), (4608, False, False)):
        largest = largest_sums(np.full((1, products), 64, np.int8), not_negative=False)
        assert (folded_values(sums, largest, scale, bias, shifts=False) is not None) == folded, products
        assert (folded_values(sums, largest, scale, bias, shifts=True) is not None) == shifted, products
    assert WITHOUT_SMMLA == ("cortex-a76",)


@pytest.mark.parametrize("core", CORES_WITH_HALVES)
@pytest.mark.parametrize("width", [9, 24])
def test_blobs_that_sums_and_convolutions_read_hold_both(runner: Runner, tmp_path: Path, core: str, width: int) -> None:
    """A pooled blob and a sum, each read as codes by a convolution and as halves by the next sum."""
    chain = Chain(image=half_image(8, 13, width), halves_of_core=core)
    chain.convolution("in0", "stem", 16, kernel=(3, 3), requantizes=False, activation=RELU, change=exact_halves)
    chain.pool("stem", "block_0", PoolWindow(kernel=(3, 3), stride=(2, 2), pad=(1, 1)))
    for index, scale in enumerate((11.3, 7.9)):
        source, branch, total = f"block_{index}", f"branch_{index}", f"block_{index + 1}"
        chain.split(source, f"{source}_codes", f"{source}_halves")
        halves = chain.blobs[source].astype(np.float16)
        rounded = half_away((halves * np.float16(scale)).astype(np.float32)).astype(np.int8)
        chain.blobs[f"{source}_codes"] = rounded
        chain.read_at[f"{source}_codes"] = scale
        chain.convolution(f"{source}_codes", branch, 16, kernel=(3, 3), padding=AROUND, requantizes=False)
        chain.net.layer("BinaryOp", f"{total}_sum", [branch, f"{source}_halves"], [f"{total}_sum"], "0=0")
        chain.net.layer("ReLU", total, [f"{total}_sum"], [total])
        chain.blobs[total] = np.maximum(chain.blobs[branch].astype(np.float16) + halves, np.float16(0))
        chain.not_negative.add(total)
    expected = chain.blobs["block_2"].astype(np.float32)
    assert len(np.unique(expected)) > 10
    release = tmp_path / "release"
    write_release(
        release, chain.net, inputs={"in0": batched(chain.image)}, outputs={"block_2": expected}, precision="fp16"
    )
    for threads in (1, 3):
        made = outputs_of_release(runner, release, tmp_path / str(threads), core, threads)["block_2"]
        np.testing.assert_array_equal(made.view(np.uint32), expected.view(np.uint32))
    stock = tmp_path / "stock"
    given = ("--input", f"in0={release}/golden/in0.npy", "--output-dir", stock, "--disable-layers")
    runner.document("infer", "--release", release, *given, core=core)
    assert np.linalg.norm(np.load(stock / "block_2.npy") - expected) <= 0.02 * np.linalg.norm(expected)


@pytest.mark.parametrize("core", CORES_WITH_HALVES)
def test_an_image_has_the_codes_of_its_halves(runner: Runner, tmp_path: Path, core: str) -> None:
    """In half precision, as the engine makes them; 33 pixels end in a single one."""
    scale = 31.7
    image = np.random.default_rng(SEED).normal(0, 2, (3, 17, 33)).astype(np.float32)
    products = (image.astype(np.float16) * np.float16(scale)).astype(np.float32)
    codes = np.clip(half_away(products), -127, 127).astype(np.int8)
    chain = Chain(image=image)
    chain.blobs["in0"], chain.read_at["in0"] = codes, scale
    chain.convolution("in0", "stem", 16, kernel=(3, 3), stride=(2, 2), activation=RELU)
    chain.convolution("stem", "out", 9)
    expected = chain.blobs["out"].astype(np.float32)
    release = tmp_path / "release"
    write_release(release, chain.net, inputs={"in0": batched(image)}, outputs={"out": expected}, precision="fp16")
    made = outputs_of_release(runner, release, tmp_path / "made", core, 1)["out"]
    np.testing.assert_array_equal(made, expected)
    assert (codes != quantize(image, np.float32(scale))).any(), "the image tells both apart"
    assert (np.abs(codes) == 127).any()
