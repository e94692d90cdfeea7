"""Nets of several int8 layers: int8 and float blobs between them, packed and not, and what they cost in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runner_chain import OUTPUTS, Chain, infer_chain, write_chain
from runner_halves_reference import halves_of
from runner_layer_cases import CLIP_BELOW, NONE, RELU, SEED, batched
from runner_layer_reference import outputs_of
from runner_models import (
    SAME_UPPER,
    ConvolutionCase,
    NetWriter,
    add_convolution,
    classifier,
    random_arrays,
)
from runner_pooling import PoolWindow
from runner_program import CORES, Runner
from runner_release import float_input, write_release

pytestmark = pytest.mark.cross

MIB = 1 << 20


@pytest.fixture(scope="module")
def chain() -> Chain:
    """Int8 by eights and singly, float by fours and singly, a Split with three readers, every form of input.

    ``b1`` writes float in the model, but its one reader quantizes it: it hands on codes.
    """
    chain = Chain(image=np.random.default_rng(SEED).normal(0, 1, (3, 33, 29)).astype(np.float32))
    around = (1, 1, 1, 1)
    chain.convolution("in0", "stem", 16, kernel=(3, 3), stride=(2, 2), padding=SAME_UPPER, activation=RELU)
    chain.depthwise("stem", "depth", kernel=(3, 3), padding=around, activation=RELU)
    chain.convolution("depth", "wide", 24)
    chain.split("wide", "wide_a", "wide_b", "wide_c")
    chain.depthwise("wide_a", "a1", kernel=(5, 5), stride=(2, 2), padding=(2, 2, 2, 2), activation=CLIP_BELOW)
    chain.convolution("a1", "a2", 10)
    chain.convolution("a2", "a3", 12, kernel=(3, 3), dilation=(2, 2), padding=(2, 2, 2, 2), pad_code=-5)
    chain.convolution("a3", "out_a", 7, kernel=(3, 1), stride=(1, 2), requantizes=False)
    chain.convolution(
        "wide_b", "b1", 8, kernel=(3, 3), padding=around, winograd=False, requantizes=False, activation=RELU, read_at=31
    )
    chain.depthwise("b1", "b2", kernel=(3, 3), stride=(2, 2), padding=(0, 1, 1, 0), pad_code=9)
    chain.convolution("b2", "out_b", 20, kind="InnerProduct", requantizes=False)
    chain.convolution("wide_c", "c1", 130, requantizes=False)
    chain.convolution("c1", "out_c", 8, kernel=(2, 4), stride=(1, 3))
    return chain


@pytest.mark.parametrize("core", CORES)
def test_a_chain_is_numpys_bit_for_bit_and_close_to_the_engines(
    runner: Runner, chain: Chain, tmp_path: Path, core: str
) -> None:
    release = write_chain(tmp_path / "release", chain)
    document = runner.document("bench", "--release", release, "--runs", "1", "--layers", core=core)
    implementations = {layer["implementation"] for layer in document["layers"] if layer["type"] != "Split"}
    assert implementations == {"edgedeploy"}
    stock = infer_chain(runner, release, tmp_path / "stock", "--disable-layers", core=core)
    for threads in ("1", "3"):
        made = infer_chain(runner, release, tmp_path / threads, core=core, threads=threads)
        for name in OUTPUTS:
            expected = chain.blobs[name].astype(np.float32)
            assert len(np.unique(expected)) > 10
            np.testing.assert_array_equal(made[name].view(np.uint32), expected.view(np.uint32), err_msg=name)
            # A single step in the middle of the chain moves a few of the sums after it a little.
            assert np.linalg.norm(made[name] - stock[name]) <= 0.01 * np.linalg.norm(stock[name]), name


@pytest.mark.parametrize("precision", ["fp16-storage", "fp16"])
@pytest.mark.parametrize("core", ["cortex-a72", "cortex-a76"])
def test_a_chain_in_half_precision_is_close_to_the_engines(
    runner: Runner, chain: Chain, tmp_path: Path, core: str, precision: str
) -> None:
    release = write_chain(tmp_path / "release", chain, precision)
    made = infer_chain(runner, release, tmp_path / "made", core=core)
    stock = infer_chain(runner, release, tmp_path / "stock", "--disable-layers", core=core)
    for name in OUTPUTS:
        assert np.linalg.norm(made[name] - stock[name]) <= 0.01 * np.linalg.norm(stock[name]), name


POOLINGS = (
    PoolWindow(kernel=(3, 3), stride=(2, 2), full=True),
    PoolWindow(kernel=(3, 3), stride=(2, 2), pad=(1, 1)),
    PoolWindow(kernel=(2, 2), stride=(2, 2), full=True),
    PoolWindow(kernel=(4, 3), stride=(3, 1), pad=(1, 2), full=True),
    PoolWindow(kernel=(5, 4), stride=(3, 1), pad=(0, 3)),
)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("width", [9, 10, 24, 33])
def test_codes_go_through_splits_pooling_and_concat(runner: Runner, tmp_path: Path, core: str, width: int) -> None:
    """A net with float between all its layers, of which none but the outputs is made."""
    image = np.random.default_rng(SEED).normal(0, 1, (3, 17, width)).astype(np.float32)
    chain = Chain(image=image)
    for index, window in enumerate(POOLINGS):
        name = f"p{index}_"
        top = f"out{index}"
        chain.net.layer("Input", f"in{index}", [], [f"in{index}"]) if index else None
        chain.blobs[f"in{index}"] = image
        first = NONE if index % 2 else RELU
        chain.convolution(f"in{index}", f"{name}a", 16, kernel=(3, 3), requantizes=False, activation=first, read_at=24)
        chain.pool(f"{name}a", f"{name}b", window)
        chain.split(f"{name}b", f"{name}c", f"{name}d")
        chain.convolution(f"{name}c", f"{name}e", 8, requantizes=False, activation=RELU, read_at=19)
        around = {"kernel": (3, 3), "padding": (1, 1, 1, 1), "winograd": False}
        chain.convolution(f"{name}d", f"{name}f", 24, requantizes=False, read_at=19, **around)
        chain.concat((f"{name}e", f"{name}f"), f"{name}g")
        chain.convolution(f"{name}g", top, 9, requantizes=False)
    release = tmp_path / "release"
    names = [f"out{index}" for index in range(len(POOLINGS))]
    inputs = {f"in{index}": batched(image) for index in range(len(POOLINGS))}
    write_release(
        release, chain.net, inputs=inputs, outputs={name: chain.blobs[name].astype(np.float32) for name in names}
    )
    document = runner.document("bench", "--release", release, "--runs", "1", "--layers", core=core)
    layers = [layer for layer in document["layers"] if layer["type"] != "Split"]
    assert {layer["implementation"] for layer in layers} == {"edgedeploy"}
    fed = [part for name in inputs for part in ("--input", f"{name}={release}/golden/{name}.npy")]
    made = {}
    for threads, options in (("1", ()), ("3", ()), ("stock", ("--disable-layers",))):
        count = "1" if threads == "stock" else threads
        where = ("--output-dir", str(tmp_path / threads), "--threads", count)
        runner.document("infer", "--release", release, *fed, *where, *options, core=core)
        made[threads] = {name: np.load(tmp_path / threads / f"{name}.npy") for name in names}
    for name in names:
        expected = chain.blobs[name].astype(np.float32)
        assert len(np.unique(expected)) > 10
        for threads in ("1", "3"):
            np.testing.assert_array_equal(made[threads][name].view(np.uint32), expected.view(np.uint32), err_msg=name)
        stock = made["stock"][name]
        assert np.linalg.norm(expected - stock) <= 0.02 * np.linalg.norm(stock), name


@pytest.mark.parametrize(("channels", "pooled_by"), [(16, "edgedeploy"), (12, "ncnn")])
@pytest.mark.parametrize("width", [9, 24, 33])
def test_pooled_halves_are_numpys_bit_for_bit(
    runner: Runner, tmp_path: Path, width: int, channels: int, pooled_by: str
) -> None:
    """Float that does reach an output stays: the convolution writes halves, whose maxima are the model's outputs."""
    rng = np.random.default_rng(SEED)
    image = rng.normal(0, 1, (8, 13, width)).astype(np.float16).astype(np.float32)
    net = NetWriter()
    expected = {}
    for index, window in enumerate(POOLINGS):
        case = ConvolutionCase(
            channels_in=8,
            channels_out=channels,
            kernel=(2, 3),
            height=13,
            width=width,
            requantizes=False,
            activation=RELU,
        )
        # With a scale that is a power of two no product is rounded.
        arrays = replace(random_arrays(case, rng), input_scale=np.float32(32))
        net.layer("Input", f"in{index}", [], [f"in{index}"])
        add_convolution(net, case, rng, arrays=arrays, name=f"c{index}", bottom=f"in{index}", top=f"c{index}")
        net.layer("Pooling", f"out{index}", [f"c{index}"], [f"out{index}"], window.parameters)
        by_eights = channels % 8 == 0
        halves = halves_of(case, arrays, image, core="cortex-a76") if by_eights else outputs_of(case, arrays, image)
        expected[f"out{index}"] = window.maxima(halves.astype(np.float16)).astype(np.float32)
    inputs = {f"in{index}": batched(image) for index in range(len(POOLINGS))}
    write_release(tmp_path / "release", net, inputs=inputs, outputs=expected, precision="fp16")
    fed = [part for name in inputs for part in ("--input", f"{name}={tmp_path}/release/golden/{name}.npy")]
    runner.document(
        "infer", "--release", tmp_path / "release", *fed, "--output-dir", tmp_path / "made", core="cortex-a76"
    )
    bench = ("--release", tmp_path / "release", "--runs", "1", "--layers")
    layers = runner.document("bench", *bench, core="cortex-a76")["layers"]
    pooled = [layer["implementation"] for layer in layers if layer["type"] == "Pooling"]
    assert pooled == [pooled_by] * len(POOLINGS)
    for name, values in expected.items():
        assert len(np.unique(values)) > 10
        np.testing.assert_array_equal(np.load(tmp_path / "made" / f"{name}.npy"), values, err_msg=name)


def test_pooling_that_meets_padding_alone_stays_with_the_engine(runner: Runner, tmp_path: Path) -> None:
    chain = Chain(image=np.random.default_rng(SEED).normal(0, 1, (8, 7, 7)).astype(np.float32))
    chain.convolution("in0", "a", 8, requantizes=False, activation=RELU)
    chain.net.layer("Pooling", "b", ["a"], ["b"], "0=0 1=2 2=3 3=1 5=0")
    case = ConvolutionCase(channels_in=8, channels_out=8, height=4, width=4, requantizes=False)
    add_convolution(chain.net, case, chain.rng, name="c", bottom="b", top="out0")
    release = tmp_path / "release"
    shape = np.zeros(case.output_shape, np.float32)
    write_release(release, chain.net, inputs={"in0": batched(chain.image)}, outputs={"out0": shape})
    document = runner.document("bench", "--release", release, "--runs", "1", "--layers", core="cortex-a76")
    assert [layer["implementation"] for layer in document["layers"]] == ["edgedeploy", "ncnn", "edgedeploy"]
    for name, options in (("made", ()), ("stock", ("--disable-layers",))):
        fed = ("--input", f"in0={release}/golden/in0.npy", "--output-dir", str(tmp_path / name))
        runner.document("infer", "--release", release, *fed, *options, core="cortex-a76")
    made, stock = (np.load(tmp_path / name / "out0.npy") for name in ("made", "stock"))
    np.testing.assert_allclose(made, stock, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "fp16-storage", "fp16"])
def test_float_models_give_the_same_bits_with_and_without_the_pack(
    runner: Runner, tmp_path: Path, precision: str
) -> None:
    rng = np.random.default_rng(SEED)
    array = rng.normal(0, 1, (1, 3, 16, 16)).astype(np.float32)
    zeros = {"out0": np.zeros(5, np.float32)}
    write_release(
        tmp_path / "release", classifier(rng), inputs={"in0": float_input(array)}, outputs=zeros, precision=precision
    )
    results = []
    for name, options in (("made", []), ("stock", ["--disable-layers"])):
        runner.document(
            "infer", "--release", tmp_path / "release", "--input", f"in0={tmp_path}/release/golden/in0.npy",
            "--output-dir", tmp_path / name, *options, core="cortex-a76",
        )  # fmt: skip
        results.append(np.load(tmp_path / name / "out0.npy"))
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("core", ["cortex-a53", "cortex-a76"])
def test_peak_memory_is_the_engines_at_most(runner: Runner, tmp_path: Path, core: str) -> None:
    """Maps large enough that an unrolled or padded copy of one shows, and weights that a second copy shows, too."""
    rng = np.random.default_rng(SEED)
    net = NetWriter()
    net.layer("Input", "blob0", [], ["blob0"])
    around: dict[str, Any] = {"kernel": (3, 3), "padding": (1, 1, 1, 1), "winograd": False}
    layers = (
        ConvolutionCase(channels_in=3, channels_out=32, kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1)),
        ConvolutionCase(kind="ConvolutionDepthWise", channels_in=32, channels_out=32, groups=32, **around),
        ConvolutionCase(channels_in=32, channels_out=32, **around),
        ConvolutionCase(channels_in=32, channels_out=32, kernel=(7, 7), stride=(9, 9)),
        ConvolutionCase(channels_in=32, channels_out=1024, kernel=(3, 3), stride=(3, 3)),
        ConvolutionCase(channels_in=1024, channels_out=1024),
        ConvolutionCase(kind="InnerProduct", channels_in=1024, channels_out=64, requantizes=False),
    )
    image = rng.normal(0, 1, (3, 288, 288)).astype(np.float32)
    shape: tuple[int, ...] = image.shape
    for index, layer in enumerate(layers):
        case = replace(layer, height=shape[1], width=shape[2])
        add_convolution(net, case, rng, name=f"layer{index}", bottom=f"blob{index}", top=f"blob{index + 1}")
        shape = case.output_shape
    outputs = {f"blob{len(layers)}": np.zeros(shape, np.float32)}
    write_release(tmp_path, net, inputs={"blob0": batched(image)}, outputs=outputs)
    peaks = {}
    for name, options in (("made", []), ("stock", ["--disable-layers"])):
        document = runner.document("bench", "--release", tmp_path, "--runs", "1", "--threads", "2", *options, core=core)
        peaks[name] = max(point["peak_rss_bytes"] for point in document["memory"])
    assert peaks["made"] <= peaks["stock"] + 2 * MIB


def test_maps_that_grow_leave_none_of_the_smaller_ones_in_memory(runner: Runner, tmp_path: Path) -> None:
    """Each map is larger than all before it, so that none of those can be used again: the engine's pool keeps ten."""
    rng = np.random.default_rng(SEED)
    net = NetWriter()
    net.layer("Input", "in0", [], ["in0"])
    grown = 12
    for step in range(grown):
        bottom = f"b{step}" if step else "in0"
        net.layer("Padding", f"pad{step}", [bottom], [f"b{step + 1}"], "0=8 1=8 2=8 3=8")
    net.layer("Pooling", "mean", [f"b{grown}"], ["out0"], "0=1 4=1")
    image = rng.normal(0, 1, (16, 100, 100)).astype(np.float32)
    side = 100 + 16 * grown
    means = image.sum((1, 2), dtype=np.float64).astype(np.float32) / (side * side)
    write_release(tmp_path, net, inputs={"in0": batched(image)}, outputs={"out0": means})
    assert runner.document("selftest", "--release", tmp_path, core="cortex-a76")["passed"]
    peaks = {}
    for name, options in (("made", []), ("stock", ["--disable-layers"])):
        document = runner.document(
            "bench", "--release", tmp_path, "--runs", "2", "--threads", "1", *options, core="cortex-a76"
        )
        peaks[name] = max(point["peak_rss_bytes"] for point in document["memory"])
    assert peaks["made"] <= peaks["stock"] - 8 * MIB
