"""Nets of several int8 layers: int8 and float blobs between them, packed and not, and what they cost in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runner_layer_cases import CLIP_BELOW, RELU, SEED, batched
from runner_layer_reference import Codes, outputs_of
from runner_models import SAME_UPPER, ConvolutionCase, FloatArray, NetWriter, add_convolution, classifier
from runner_program import CORES, Runner
from runner_release import float_input, write_release

pytestmark = pytest.mark.cross

MIB = 1 << 20


@dataclass(kw_only=True)
class Chain:
    """A net as it grows, and what numpy makes of each blob."""

    image: FloatArray
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(SEED))
    net: NetWriter = field(default_factory=NetWriter)
    blobs: dict[str, FloatArray | Codes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.net.layer("Input", "in0", [], ["in0"])
        self.blobs["in0"] = self.image

    def convolution(self, bottom: str, top: str, channels_out: int, **how: Any) -> None:
        channels, height, width = self.blobs[bottom].shape
        case = ConvolutionCase(channels_in=channels, channels_out=channels_out, height=height, width=width, **how)
        arrays = add_convolution(self.net, case, self.rng, name=top, bottom=bottom, top=top)
        self.blobs[top] = outputs_of(case, arrays, self.blobs[bottom])

    def depthwise(self, bottom: str, top: str, **how: Any) -> None:
        channels = self.blobs[bottom].shape[0]
        self.convolution(bottom, top, channels, kind="ConvolutionDepthWise", groups=channels, **how)

    def split(self, bottom: str, *tops: str) -> None:
        self.net.layer("Split", f"split_{bottom}", [bottom], list(tops))
        self.blobs.update(dict.fromkeys(tops, self.blobs[bottom]))


OUTPUTS = ("out_a", "out_b", "out_c")


@pytest.fixture(scope="module")
def chain() -> Chain:
    """Int8 by eights and singly, float by fours and singly, a Split with three readers, every form of input."""
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
        "wide_b", "b1", 8, kernel=(3, 3), padding=around, winograd=False, requantizes=False, activation=RELU
    )
    chain.depthwise("b1", "b2", kernel=(3, 3), stride=(2, 2), padding=(0, 1, 1, 0), pad_code=9)
    chain.convolution("b2", "out_b", 20, kind="InnerProduct", requantizes=False)
    chain.convolution("wide_c", "c1", 130, requantizes=False)
    chain.convolution("c1", "out_c", 8, kernel=(2, 4), stride=(1, 3))
    return chain


def _write(directory: Path, chain: Chain, precision: str = "fp32") -> Path:
    outputs = {name: chain.blobs[name].astype(np.float32) for name in OUTPUTS}
    write_release(directory, chain.net, inputs={"in0": batched(chain.image)}, outputs=outputs, precision=precision)
    return directory


def _infer(
    runner: Runner, release: Path, made: Path, *options: str, core: str, threads: str = "1"
) -> dict[str, FloatArray]:
    options = ("--input", f"in0={release}/golden/in0.npy", "--output-dir", str(made), "--threads", threads, *options)
    runner.document("infer", "--release", release, *options, core=core)
    return {name: np.load(made / f"{name}.npy") for name in OUTPUTS}


@pytest.mark.parametrize("core", CORES)
def test_a_chain_is_numpys_bit_for_bit_and_close_to_the_engines(
    runner: Runner, chain: Chain, tmp_path: Path, core: str
) -> None:
    release = _write(tmp_path / "release", chain)
    document = runner.document("bench", "--release", release, "--runs", "1", "--layers", core=core)
    implementations = {layer["implementation"] for layer in document["layers"] if layer["type"] != "Split"}
    assert implementations == {"edgedeploy"}
    stock = _infer(runner, release, tmp_path / "stock", "--disable-layers", core=core)
    for threads in ("1", "3"):
        made = _infer(runner, release, tmp_path / threads, core=core, threads=threads)
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
    release = _write(tmp_path / "release", chain, precision)
    made = _infer(runner, release, tmp_path / "made", core=core)
    stock = _infer(runner, release, tmp_path / "stock", "--disable-layers", core=core)
    for name in OUTPUTS:
        assert np.linalg.norm(made[name] - stock[name]) <= 0.01 * np.linalg.norm(stock[name]), name


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
