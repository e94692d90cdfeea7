"""Sums with a ReLU behind them in one pass: their bits, where they become codes, and where the engine keeps them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from runner_chain import OUTPUTS, Chain, infer_chain, write_chain
from runner_layer_cases import SEED, batched
from runner_layer_reference import half_away, quantize
from runner_models import Int8Arrays, NetWriter
from runner_program import CORES, Runner
from runner_release import write_release

pytestmark = pytest.mark.cross

SCALE = np.float32(11.3)


def add_sum(net: NetWriter, left: str, right: str, top: str) -> None:
    """``top_sum`` is what the ReLU reads."""
    net.layer("BinaryOp", f"{top}_sum", [left, right], [f"{top}_sum"], "0=0")
    net.layer("ReLU", top, [f"{top}_sum"], [top])


def implementations(runner: Runner, release: Path, core: str) -> list[tuple[str, str]]:
    """Return the types of sums and ReLUs, and who computes each."""
    document = runner.document("bench", "--release", release, "--runs", "1", "--layers", core=core)
    kinds = ("BinaryOp", "ReLU")
    return [(layer["type"], layer["implementation"]) for layer in document["layers"] if layer["type"] in kinds]


def exact_halves(arrays: Int8Arrays) -> Int8Arrays:
    """With a scale that is a power of two no product is rounded."""
    return replace(arrays, input_scale=np.float32(32))


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_sums_are_numpys_bit_for_bit(runner: Runner, tmp_path: Path, core: str, precision: str) -> None:
    """Of two maps, for int8 layers alone and for an output; of a map and a value a channel, for an int8 layer."""
    in_halves = precision == "fp16" and core not in ("cortex-a53", "cortex-a72")
    stored = np.float16 if in_halves else np.float32
    image = np.random.default_rng(SEED).normal(0, 1, (8, 7, 9)).astype(np.float16).astype(np.float32)
    chain = Chain(image=image, halves_of_core=core if in_halves else None)
    names = ["a", "b", "c", "d", "e", "f"]
    chain.split("in0", *(f"in_{name}" for name in names))
    for name in names:
        how: dict[str, Any] = {"kernel": (9, 7)} if name == "d" else {}
        chain.convolution(f"in_{name}", name, 24, requantizes=False, change=exact_halves, **how)
    for left, right, top in (("a", "b", "codes"), ("c", "d", "spread"), ("e", "f", "out_c")):
        add_sum(chain.net, left, right, top)
        terms = [chain.blobs[name].astype(stored) for name in (left, right)]
        total = np.maximum(terms[0] + terms[1], stored(0))
        chain.blobs[top] = total.astype(np.float32)
        if top == "out_c":
            continue
        codes = half_away((total * stored(SCALE)).astype(np.float32)).astype(np.int8)
        chain.blobs[top] = codes if in_halves else quantize(total.astype(np.float32), SCALE)
        chain.read_at[top] = float(SCALE)
        chain.not_negative.add(top)
    chain.split("codes", "codes_a", "codes_b")
    chain.depthwise("codes_a", "out_a", kernel=(3, 3))
    chain.convolution("codes_b", "codes_out", 8, requantizes=False, read_at=7)
    chain.convolution("spread", "spread_out", 8, requantizes=False, read_at=7)
    chain.concat(("codes_out", "spread_out"), "both")
    chain.convolution("both", "out_b", 8)
    release = write_chain(tmp_path / "release", chain, precision)
    assert implementations(runner, release, core) == [("BinaryOp", "edgedeploy"), ("ReLU", "edgedeploy")] * 3
    for threads in ("1", "3"):
        made = infer_chain(runner, release, tmp_path / threads, core=core, threads=threads)
        for name in OUTPUTS:
            expected = chain.blobs[name].astype(np.float32)
            assert len(np.unique(expected)) > 10
            np.testing.assert_array_equal(made[name], expected, err_msg=name)


SHAPES = [
    ((16, 5, 7), (16, 5, 7)),
    ((12, 5, 7), (12, 5, 7)),
    ((5, 3, 3), (5, 3, 3)),
    ((16, 5, 7), (16, 1, 1)),
    ((9, 11), (9, 11)),
    ((21,), (21,)),
    ((21,), (1,)),
]


@pytest.mark.parametrize("precision", ["fp32", "fp16-storage", "fp16"])
def test_sums_of_any_shape_are_the_engines_bit_for_bit(runner: Runner, tmp_path: Path, precision: str) -> None:
    rng = np.random.default_rng(SEED)
    net = NetWriter()
    inputs: dict[str, NDArray[np.float32]] = {}
    outputs = {}
    for index, shapes in enumerate(SHAPES):
        for side, shape in zip("ab", shapes, strict=True):
            name = f"{side}{index}"
            net.layer("Input", name, [], [name])
            inputs[name] = rng.normal(0, 1, shape).astype(np.float32)
        add_sum(net, f"a{index}", f"b{index}", f"out{index}")
        outputs[f"out{index}"] = np.maximum(inputs[f"a{index}"] + inputs[f"b{index}"], 0)
    release = tmp_path / "release"
    fed = {name: batched(array) for name, array in inputs.items()}
    write_release(release, net, inputs=fed, outputs=outputs, precision=precision)
    arguments = [part for name in inputs for part in ("--input", f"{name}={release}/golden/{name}.npy")]
    for core in ("cortex-a72", "cortex-a76"):
        assert {by for _, by in implementations(runner, release, core)} <= {"edgedeploy", "ncnn"}
        made, stock = tmp_path / core / "made", tmp_path / core / "stock"
        for directory, options in ((made, ()), (stock, ("--disable-layers",))):
            runner.document("infer", "--release", release, *arguments, "--output-dir", directory, *options, core=core)
        for name, expected in outputs.items():
            values = np.load(made / f"{name}.npy")
            np.testing.assert_array_equal(values, np.load(stock / f"{name}.npy"), err_msg=name)
            np.testing.assert_allclose(values, expected, rtol=0.01, atol=0.01, err_msg=name)


def test_a_sum_that_others_see_is_not_rectified(runner: Runner, tmp_path: Path) -> None:
    """An output of the net, a second reader by the same name, a ReLU with a slope, a product, a sum with a number."""
    rng = np.random.default_rng(SEED)
    net = NetWriter()
    net.layer("Input", "in0", [], ["in0"])
    net.layer("Input", "in1", [], ["in1"])
    values = [rng.normal(0, 1, (8, 5, 7)).astype(np.float32) for _ in range(2)]
    names = [f"in{side}_{index}" for index in range(5) for side in range(2)]
    for side in range(2):
        net.layer("Split", f"split{side}", [f"in{side}"], [name for name in names if name.startswith(f"in{side}")])
    total = values[0] + values[1]
    outputs = {}
    for index, (operation, slope) in enumerate((("0=0", ""), ("0=0", ""), ("0=0", "0=0.5"), ("0=2", ""))):
        net.layer("BinaryOp", f"sum{index}", [f"in0_{index}", f"in1_{index}"], [f"sum{index}"], operation)
        net.layer("ReLU", f"out{index}", [f"sum{index}"], [f"out{index}"], slope)
        outputs[f"out{index}"] = np.maximum(total, total * np.float32(0.5) if slope else 0)
    outputs["sum0"] = total
    outputs["out3"] = np.maximum(values[0] * values[1], 0)
    net.layer("BinaryOp", "half", ["sum1"], ["half"], "0=2 1=1 2=0.5")
    outputs["half"] = total * np.float32(0.5)
    net.layer("BinaryOp", "more", ["in0_4"], ["more"], "0=0 1=1 2=0.5")
    net.layer("ReLU", "out4", ["more"], ["out4"])
    outputs["out4"] = np.maximum(values[0] + np.float32(0.5), 0)
    net.layer("Noop", "end", ["in1_4"], ["unused"])
    release = tmp_path / "release"
    fed = {f"in{side}": batched(array) for side, array in enumerate(values)}
    write_release(release, net, inputs=fed, outputs=outputs)
    assert {by for _, by in implementations(runner, release, "cortex-a76")} == {"ncnn"}
    arguments = [part for name in fed for part in ("--input", f"{name}={release}/golden/{name}.npy")]
    runner.document("infer", "--release", release, *arguments, "--output-dir", tmp_path / "made", core="cortex-a76")
    for name, expected in outputs.items():
        np.testing.assert_array_equal(np.load(tmp_path / "made" / f"{name}.npy"), expected, err_msg=name)
