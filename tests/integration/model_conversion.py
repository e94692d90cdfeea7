"""What the tests of conversion share: PP-OCR's models, real samples for them, and small models made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import skimage.data
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgedeploy.artifacts import ComparisonLimits, ConvertedModel, InputSpec, Sample
from edgedeploy.convert.pipeline import convert_model

Array = NDArray[Any]


PP_OCR = {
    "det": (
        "ch_PP-OCRv4_det_infer.onnx",
        "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
        (1, 3, 192, 384),
        (1, 192, 384),
    ),
    "cls": (
        "ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
        (1, 3, 48, 192),
        (2,),
    ),
    "rec": (
        "ch_PP-OCRv4_rec_infer.onnx",
        "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
        (1, 3, 48, 320),
        (40, 6625),
    ),
}
TIGHT = ComparisonLimits(max_abs_error=1e-3, cosine=0.99999, sqnr_db=80.0)
HALF = ComparisonLimits(max_abs_error=0.1, cosine=0.999, sqnr_db=30.0)
LOOSE = ComparisonLimits(max_abs_error=1e-2, cosine=0.999, sqnr_db=40.0)


def page_samples(shape: tuple[int, ...], *, name: str = "x") -> tuple[Sample, ...]:
    """The scanned page, or a line of it for the networks that read lines; upright and upside down."""
    page = skimage.data.page()
    upright = page[38:60, 10:170] if shape[2] == 48 else page
    samples = []
    for label, image in (("upright", upright), ("upside down", upright[::-1, ::-1])):
        sized = cv2.resize(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), (shape[3], shape[2]))
        tensor = (sized.astype(np.float32).transpose(2, 0, 1)[np.newaxis] - 127.5) / 127.5
        samples.append(Sample(name=label, raw={name: sized}, tensors={name: np.ascontiguousarray(tensor)}))
    return tuple(samples)


def convert_ocr(key: str, files: dict[str, Path], *, fp16: bool, limits: ComparisonLimits) -> ConvertedModel:
    shape = PP_OCR[key][2]
    return convert_model(files[key], (InputSpec(name="x", shape=shape),), page_samples(shape), fp16=fp16, limits=limits)


def no_conversion(*_: Any, **__: Any) -> Any:
    raise AssertionError("converted again")


def small_model(
    nodes: list[onnx.NodeProto],
    path: Path,
    *,
    inputs: dict[str, tuple[int | str, ...]],
    outputs: list[str],
    weights: dict[str, Array] | None = None,
    weights_as_inputs: bool = False,
    ir_version: int = 8,
) -> Path:
    """Write an ONNX model of opset 13."""
    constants = [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
    listed = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    if weights_as_inputs:
        listed += [helper.make_tensor_value_info(item.name, item.data_type, item.dims) for item in constants]
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "small", listed, made, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=ir_version)
    onnx.save_model(model, path)
    return path


def random_sample(**shapes: tuple[int, ...]) -> tuple[Sample, ...]:
    generator = np.random.default_rng(5)
    tensors = {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return (Sample(name="random", raw={}, tensors=tensors),)


def kernel(*shape: int) -> Array:
    return np.random.default_rng(6).normal(size=shape).astype(np.float32)
