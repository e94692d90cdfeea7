"""Real models through the whole conversion: PP-OCR's three, and small ones made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from model_conversion import (
    HALF,
    LOOSE,
    PP_OCR,
    TIGHT,
    convert_ocr,
    kernel,
    no_conversion,
    page_samples,
    random_sample,
    small_model,
)
from onnx import helper

from edgedeploy.artifacts import ComparisonLimits, InputSpec
from edgedeploy.convert import pipeline, pnnx_tool
from edgedeploy.convert.engine import run_converted
from edgedeploy.convert.pipeline import convert_model
from edgedeploy.errors import (
    ComparisonError,
    TruncatedWeightsError,
)
from edgedeploy.graph import Storage, format_param, read_graph, weights_bytes, write_graph

HALVED = ("det", "cls")
"""Converted to half precision too; the largest is so in nightly."""

# --- PP-OCR ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", PP_OCR)
def test_pp_ocr_matches_onnx_runtime_on_a_real_page(key: str, ocr_files: dict[str, Path], model_cache: Path) -> None:
    model = convert_ocr(key, ocr_files, fp16=False, limits=TIGHT)
    shape, output_shape = PP_OCR[key][2:]
    assert [(item.name, item.shape) for item in model.inputs] == [("in0", shape)]
    assert [item.name for item in model.source_inputs] == ["x"]
    assert [(item.name, item.shape) for item in model.outputs] == [("out0", output_shape)]
    assert model.comparison is not None
    assert model.comparison.passed
    assert model.comparison.samples == 2
    assert model.comparison.reference == f"onnxruntime {onnxruntime.__version__}"
    assert model.warnings == ()
    assert model_cache in model.param.parents
    session = onnxruntime.InferenceSession(str(ocr_files[key]), providers=["CPUExecutionProvider"])
    assert session.get_outputs()[0].name == model.outputs[0].source_name
    for sample in page_samples(shape):
        (expected,) = session.run(None, sample.tensors)
        found = run_converted(model, sample)["out0"]
        np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("key", "fp16"),
    [
        *((key, False) for key in PP_OCR),
        *((key, True) for key in HALVED),
        pytest.param("rec", True, marks=pytest.mark.nightly),
    ],
)
def test_converted_models_round_trip_byte_for_byte(
    key: str, fp16: bool, ocr_files: dict[str, Path], model_cache: Path, tmp_path: Path
) -> None:
    model = convert_ocr(key, ocr_files, fp16=fp16, limits=HALF if fp16 else TIGHT)
    graph = read_graph(model.param, model.weights)
    assert format_param(graph).encode() == model.param.read_bytes()
    assert weights_bytes(graph) == model.weights.read_bytes()
    write_graph(graph, tmp_path / "m.param", tmp_path / "m.bin")
    assert (tmp_path / "m.param").read_bytes() == model.param.read_bytes()
    assert (tmp_path / "m.bin").read_bytes() == model.weights.read_bytes()


@pytest.mark.parametrize("key", [*HALVED, pytest.param("rec", marks=pytest.mark.nightly)])
def test_half_precision_halves_the_weights_and_keeps_the_result(
    key: str, ocr_files: dict[str, Path], model_cache: Path
) -> None:
    single = convert_ocr(key, ocr_files, fp16=False, limits=TIGHT)
    half = convert_ocr(key, ocr_files, fp16=True, limits=HALF)
    assert half.param != single.param
    assert half.weights.stat().st_size < 0.6 * single.weights.stat().st_size


def test_weights_below_half_precision_stay_in_float32(ocr_files: dict[str, Path], model_cache: Path) -> None:
    """The converter's own fp16 flushes one convolution of the detector to zero; its cosine falls to 0.09."""
    model = convert_ocr("det", ocr_files, fp16=True, limits=HALF)
    graph = read_graph(model.param, model.weights)
    kept = [weight for layer in graph.layers for weight in layer.weights if weight.storage is Storage.FP32]
    assert kept
    assert all(np.abs(weight.array).max() < 1e-3 for weight in kept)


@pytest.mark.parametrize("key", PP_OCR)
def test_real_weights_cut_short_are_truncated(
    key: str, ocr_files: dict[str, Path], model_cache: Path, tmp_path: Path
) -> None:
    model = convert_ocr(key, ocr_files, fp16=False, limits=TIGHT)
    whole = model.weights.read_bytes()
    cuts = np.random.default_rng(1).integers(0, len(whole), 25).tolist()
    for cut in (0, 1, 3, 4, 5, len(whole) // 2, len(whole) - 4, len(whole) - 1, *cuts):
        (tmp_path / "cut.bin").write_bytes(whole[:cut])
        with pytest.raises(TruncatedWeightsError):
            read_graph(model.param, tmp_path / "cut.bin")


# --- the cache -------------------------------------------------------------------------------------------------------


def test_the_second_conversion_comes_from_the_cache(
    ocr_files: dict[str, Path], model_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = convert_ocr("cls", ocr_files, fp16=False, limits=TIGHT)
    monkeypatch.setattr(pipeline, "run_pnnx", no_conversion)
    monkeypatch.setattr(pipeline, "OnnxReference", no_conversion)
    assert convert_ocr("cls", ocr_files, fp16=False, limits=TIGHT) == first


def test_limits_are_held_against_a_stored_comparison(ocr_files: dict[str, Path], model_cache: Path) -> None:
    convert_ocr("cls", ocr_files, fp16=False, limits=TIGHT)
    with pytest.raises(ComparisonError, match="out0"):
        convert_ocr("cls", ocr_files, fp16=False, limits=ComparisonLimits(max_abs_error=1e-12))


def test_other_samples_are_compared_anew(
    ocr_files: dict[str, Path], model_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = PP_OCR["cls"][2]
    convert_ocr("cls", ocr_files, fp16=False, limits=TIGHT)
    monkeypatch.setattr(pipeline, "run_pnnx", no_conversion)
    one = convert_model(
        ocr_files["cls"], (InputSpec(name="x", shape=shape),), page_samples(shape)[1:], fp16=False, limits=TIGHT
    )
    assert one.comparison is not None
    assert one.comparison.samples == 1


def test_a_damaged_cache_entry_is_made_again(ocr_files: dict[str, Path], model_cache: Path) -> None:
    first = convert_ocr("cls", ocr_files, fp16=False, limits=TIGHT)
    whole = first.weights.read_bytes()
    first.weights.write_bytes(whole[:-8])
    again = convert_ocr("cls", ocr_files, fp16=False, limits=TIGHT)
    assert again == first
    assert again.weights.read_bytes() == whole


# --- the gate --------------------------------------------------------------------------------------------------------


@pytest.fixture
def one_wrong_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A converter that spoils one weight of one convolution."""
    real = pnnx_tool.run_pnnx

    def spoil(*arguments: Any, **options: Any) -> tuple[Path, Path]:
        param, weights = real(*arguments, **options)
        graph = read_graph(param, weights)
        layer = next(item for item in graph.layers if item.type == "Convolution")
        values = layer.weight("weight").array.copy()
        values.flat[0] += 10.0 * np.abs(values).max()
        spoiled = layer.with_weight(layer.weight("weight").with_array(values))
        write_graph(graph.with_layer(spoiled), param, weights)
        return param, weights

    monkeypatch.setattr(pipeline, "run_pnnx", spoil)


@pytest.mark.usefixtures("one_wrong_weight")
def test_one_wrong_weight_fails_the_gate(ocr_files: dict[str, Path], empty_cache: Path) -> None:
    with pytest.raises(ComparisonError, match=r"(?s)onnxruntime .*out0: max abs error .*beyond the limits") as caught:
        convert_ocr("cls", ocr_files, fp16=False, limits=LOOSE)
    assert caught.value.hint


@pytest.mark.usefixtures("one_wrong_weight")
def test_differences_can_be_accepted_and_are_told(ocr_files: dict[str, Path], empty_cache: Path) -> None:
    shape = PP_OCR["cls"][2]
    model = convert_model(
        ocr_files["cls"],
        (InputSpec(name="x", shape=shape),),
        page_samples(shape),
        fp16=False,
        limits=LOOSE,
        accept_differences=True,
    )
    assert model.comparison is not None
    assert not model.comparison.passed
    assert model.warnings


# --- models made here ------------------------------------------------------------------------------------------------


def test_a_file_in_the_newest_format_converts(tmp_path: Path, model_cache: Path) -> None:
    """The onnx package writes its own newest format unless told otherwise; the converter reads older ones only."""
    path = small_model(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        tmp_path / "m.onnx",
        inputs={"x": (1, 2, 5, 6)},
        outputs=["y"],
        weights={"w": kernel(3, 2, 1, 1)},
        ir_version=onnx.IR_VERSION,
    )
    inputs = (InputSpec(name="x", shape=(1, 2, 5, 6)),)
    model = convert_model(path, inputs, random_sample(x=(1, 2, 5, 6)), fp16=False, limits=TIGHT)
    assert model.comparison is not None
    assert model.comparison.passed


def test_outputs_and_inputs_are_matched_by_order_not_by_luck(tmp_path: Path, model_cache: Path) -> None:
    """Four outputs of one shape in an order unlike the nodes', and inputs described the other way round."""
    path = small_model(
        [
            helper.make_node("Conv", ["a", "w"], ["ca"]),
            helper.make_node("Conv", ["b", "w"], ["cb"]),
            helper.make_node("Sub", ["ca", "cb"], ["difference"]),
            helper.make_node("Relu", ["difference"], ["rectified"]),
            helper.make_node("Sigmoid", ["cb"], ["squashed"]),
        ],
        tmp_path / "m.onnx",
        inputs={"a": (1, 2, 5, 6), "b": (1, 2, "h", "w")},
        outputs=["squashed", "rectified", "cb", "difference"],
        weights={"w": kernel(3, 2, 1, 1)},
    )
    shape = (1, 2, 5, 6)
    specs = (InputSpec(name="b", shape=shape), InputSpec(name="a", shape=shape))
    model = convert_model(path, specs, random_sample(a=shape, b=shape), fp16=False, limits=TIGHT)
    assert [item.name for item in model.inputs] == ["in1", "in0"]
    assert [item.name for item in model.source_inputs] == ["b", "a"]
    assert [item.source_name for item in model.outputs] == ["squashed", "rectified", "cb", "difference"]
    assert model.comparison is not None
    assert [item.passed for item in model.comparison.outputs] == [True] * 4


def test_weights_listed_as_inputs_are_no_inputs(tmp_path: Path, model_cache: Path) -> None:
    path = small_model(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        tmp_path / "m.onnx",
        inputs={"x": (1, 2, 6, 6)},
        outputs=["y"],
        weights={"w": kernel(3, 2, 3, 3)},
        weights_as_inputs=True,
    )
    shape = (1, 2, 6, 6)
    model = convert_model(path, (InputSpec(name="x", shape=shape),), random_sample(x=shape), fp16=False, limits=TIGHT)
    assert [item.shape for item in model.outputs] == [(3, 4, 4)]


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])
def test_same_padding_is_translated_rightly(operator: str, auto_pad: str, tmp_path: Path, model_cache: Path) -> None:
    """The converter alone gets these wrong without an error (cosine .44 to .99)."""
    path = small_model(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], auto_pad=auto_pad, strides=[2, 2]),
            helper.make_node(operator, ["c"], ["y"], auto_pad=auto_pad, kernel_shape=[3, 3], strides=[2, 2]),
        ],
        tmp_path / "m.onnx",
        inputs={"x": (1, 2, 20, 16)},
        outputs=["y"],
        weights={"w": kernel(3, 2, 3, 3)},
    )
    shape = (1, 2, 20, 16)
    model = convert_model(path, (InputSpec(name="x", shape=shape),), random_sample(x=shape), fp16=False, limits=TIGHT)
    assert model.comparison is not None
    assert model.comparison.passed
