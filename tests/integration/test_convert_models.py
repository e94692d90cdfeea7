"""Real models through the whole conversion: PP-OCR's three, one trained here, and models that must fail."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import skimage.data
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgedeploy.artifacts import ComparisonLimits, ConvertedModel, InputSpec, Sample
from edgedeploy.assets import PackagedFile, fetch_packaged_file
from edgedeploy.convert import pipeline, pnnx_tool, store
from edgedeploy.convert.engine import run_converted
from edgedeploy.convert.pipeline import convert_model
from edgedeploy.errors import (
    ComparisonError,
    ConversionError,
    CorruptModelError,
    EdgedeployError,
    MissingFileError,
    ShapeMismatchError,
    TruncatedWeightsError,
    UnsupportedOperatorError,
)
from edgedeploy.graph import Storage, format_param, read_graph, weights_bytes, write_graph
from edgedeploy.paths import CACHE_VARIABLE
from edgedeploy.progress import SILENT

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


@pytest.fixture(scope="session")
def ocr_files() -> dict[str, Path]:
    """PP-OCR's models out of the published package."""
    return {
        key: fetch_packaged_file(
            PackagedFile(
                package="rapidocr-onnxruntime",
                version="1.4.4",
                path=f"rapidocr_onnxruntime/models/{name}",
                sha256=sha256,
            ),
            progress=SILENT,
        )
        for key, (name, sha256, _, _) in PP_OCR.items()
    }


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, ocr_files: dict[str, Path]) -> Iterator[Path]:
    """A cache for this module's conversions. The downloads above stay in the user's own."""
    directory = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(directory))
        yield directory


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test alone."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


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


# --- PP-OCR ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", PP_OCR)
def test_pp_ocr_matches_onnx_runtime_on_a_real_page(key: str, ocr_files: dict[str, Path], cache: Path) -> None:
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
    assert cache in model.param.parents
    session = onnxruntime.InferenceSession(str(ocr_files[key]), providers=["CPUExecutionProvider"])
    assert session.get_outputs()[0].name == model.outputs[0].source_name
    for sample in page_samples(shape):
        (expected,) = session.run(None, sample.tensors)
        found = run_converted(model, sample)["out0"]
        np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-3)


@pytest.mark.parametrize("fp16", [False, True])
@pytest.mark.parametrize("key", PP_OCR)
def test_converted_models_round_trip_byte_for_byte(
    key: str, fp16: bool, ocr_files: dict[str, Path], cache: Path, tmp_path: Path
) -> None:
    model = convert_ocr(key, ocr_files, fp16=fp16, limits=HALF if fp16 else TIGHT)
    graph = read_graph(model.param, model.weights)
    assert format_param(graph).encode() == model.param.read_bytes()
    assert weights_bytes(graph) == model.weights.read_bytes()
    write_graph(graph, tmp_path / "m.param", tmp_path / "m.bin")
    assert (tmp_path / "m.param").read_bytes() == model.param.read_bytes()
    assert (tmp_path / "m.bin").read_bytes() == model.weights.read_bytes()


def test_half_precision_halves_the_weights_and_keeps_the_result(ocr_files: dict[str, Path], cache: Path) -> None:
    for key in PP_OCR:
        single = convert_ocr(key, ocr_files, fp16=False, limits=TIGHT)
        half = convert_ocr(key, ocr_files, fp16=True, limits=HALF)
        assert half.param != single.param
        assert half.weights.stat().st_size < 0.6 * single.weights.stat().st_size


def test_weights_below_half_precision_stay_in_float32(ocr_files: dict[str, Path], cache: Path) -> None:
    """The converter's own fp16 flushes one convolution of the detector to zero; its cosine falls to 0.09."""
    model = convert_ocr("det", ocr_files, fp16=True, limits=HALF)
    graph = read_graph(model.param, model.weights)
    kept = [weight for layer in graph.layers for weight in layer.weights if weight.storage is Storage.FP32]
    assert kept
    assert all(np.abs(weight.array).max() < 1e-3 for weight in kept)


@pytest.mark.parametrize("key", PP_OCR)
def test_real_weights_cut_short_are_truncated(
    key: str, ocr_files: dict[str, Path], cache: Path, tmp_path: Path
) -> None:
    model = convert_ocr(key, ocr_files, fp16=False, limits=TIGHT)
    whole = model.weights.read_bytes()
    cuts = np.random.default_rng(1).integers(0, len(whole), 25).tolist()
    for cut in (0, 1, 3, 4, 5, len(whole) // 2, len(whole) - 4, len(whole) - 1, *cuts):
        (tmp_path / "cut.bin").write_bytes(whole[:cut])
        with pytest.raises(TruncatedWeightsError):
            read_graph(model.param, tmp_path / "cut.bin")


# --- the cache -------------------------------------------------------------------------------------------------------


def _no_conversion(*_: Any, **__: Any) -> Any:
    raise AssertionError("converted again")


def test_the_second_conversion_comes_from_the_cache(
    ocr_files: dict[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = convert_ocr("cls", ocr_files, fp16=False, limits=TIGHT)
    monkeypatch.setattr(pipeline, "run_pnnx", _no_conversion)
    monkeypatch.setattr(pipeline, "OnnxReference", _no_conversion)
    assert convert_ocr("cls", ocr_files, fp16=False, limits=TIGHT) == first


def test_limits_are_held_against_a_stored_comparison(ocr_files: dict[str, Path], cache: Path) -> None:
    convert_ocr("cls", ocr_files, fp16=False, limits=TIGHT)
    with pytest.raises(ComparisonError, match="out0"):
        convert_ocr("cls", ocr_files, fp16=False, limits=ComparisonLimits(max_abs_error=1e-12))


def test_other_samples_are_compared_anew(
    ocr_files: dict[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = PP_OCR["cls"][2]
    convert_ocr("cls", ocr_files, fp16=False, limits=TIGHT)
    monkeypatch.setattr(pipeline, "run_pnnx", _no_conversion)
    one = convert_model(
        ocr_files["cls"], (InputSpec(name="x", shape=shape),), page_samples(shape)[1:], fp16=False, limits=TIGHT
    )
    assert one.comparison is not None
    assert one.comparison.samples == 1


def test_a_damaged_cache_entry_is_made_again(ocr_files: dict[str, Path], cache: Path) -> None:
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
        convert_ocr("det", ocr_files, fp16=False, limits=LOOSE)
    assert caught.value.hint


@pytest.mark.usefixtures("one_wrong_weight")
def test_differences_can_be_accepted_and_are_told(ocr_files: dict[str, Path], empty_cache: Path) -> None:
    shape = PP_OCR["det"][2]
    model = convert_model(
        ocr_files["det"],
        (InputSpec(name="x", shape=shape),),
        page_samples(shape),
        fp16=False,
        limits=LOOSE,
        accept_differences=True,
    )
    assert model.comparison is not None
    assert not model.comparison.passed
    assert model.warnings


# --- TorchScript -----------------------------------------------------------------------------------------------------


class DigitNet(torch.nn.Module):
    """A small convolutional classifier with two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.features = torch.nn.Sequential(
            torch.nn.Conv2d(1, 8, 3, padding=1),
            torch.nn.BatchNorm2d(8),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Conv2d(8, 16, 3, padding=1),
            torch.nn.Hardswish(),
            torch.nn.AdaptiveAvgPool2d(2),
        )
        self.head = torch.nn.Linear(64, 4)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores = self.head(torch.flatten(self.features(image), 1))
        return torch.softmax(scores, dim=1), scores


def drawn_shapes(count: int, seed: int) -> tuple[Array, Array]:
    """Noisy 16x16 drawings of four kinds: horizontal bar, vertical bar, disc, ring. Returns images and labels."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:16, 0:16]
    images, labels = [], generator.integers(0, 4, count)
    for label in labels:
        y, x, radius = generator.uniform(5, 11), generator.uniform(5, 11), generator.uniform(3, 5)
        distance = np.hypot(rows - y, columns - x)
        drawing = (abs(rows - y) < 1.5, abs(columns - x) < 1.5, distance < radius, abs(distance - radius) < 1)[label]
        images.append(drawing.astype(np.float32) + generator.normal(0, 0.2, (16, 16)).astype(np.float32))
    return np.stack(images)[:, np.newaxis], labels


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[DigitNet, Path]:
    """The classifier, trained here, and its TorchScript file."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = DigitNet()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    images, labels = (torch.from_numpy(item) for item in drawn_shapes(512, seed=1))
    for _ in range(12):
        for start in range(0, len(images), 64):
            optimizer.zero_grad()
            scores = network(images[start : start + 64])[1]
            torch.nn.functional.cross_entropy(scores, labels[start : start + 64]).backward()
            optimizer.step()
    path = tmp_path_factory.mktemp("torch") / "digits.pt"
    torch.jit.trace(network.eval(), torch.zeros(1, 1, 16, 16)).save(str(path))
    return network, path


def shape_samples(count: int) -> tuple[tuple[Sample, ...], Array]:
    images, labels = drawn_shapes(count, seed=2)
    samples = tuple(
        Sample(name=f"drawing {index}", raw={"in0": image[np.newaxis]}, tensors={"in0": image[np.newaxis]})
        for index, image in enumerate(images)
    )
    return samples, labels


IMAGE = (InputSpec(name="in0", shape=(1, 1, 16, 16)),)


@pytest.mark.parametrize("fp16", [False, True])
def test_a_trained_network_keeps_its_answers(trained: tuple[DigitNet, Path], cache: Path, fp16: bool) -> None:
    samples, labels = shape_samples(40)
    limits = HALF if fp16 else TIGHT
    model = convert_model(trained[1], IMAGE, samples, fp16=fp16, limits=limits)
    assert model.comparison is not None
    assert model.comparison.reference == f"torch {torch.__version__}"
    assert [(item.name, item.source_name, item.shape) for item in model.outputs] == [
        ("out0", "out0", (4,)),
        ("out1", "out1", (4,)),
    ]
    answers = [run_converted(model, sample) for sample in samples]
    assert np.mean([np.argmax(item["out0"]) for item in answers] == labels) > 0.9, "the training taught something"
    for item in answers:
        assert item["out0"].sum() == pytest.approx(1.0, abs=1e-3), "out0 is the softmax, out1 the scores"
    graph = read_graph(model.param, model.weights)
    assert format_param(graph).encode() == model.param.read_bytes()
    assert weights_bytes(graph) == model.weights.read_bytes()


def test_a_scripted_module_fails_with_the_way_out(
    trained: tuple[DigitNet, Path], tmp_path: Path, empty_cache: Path
) -> None:
    path = tmp_path / "scripted.pt"
    torch.jit.script(trained[0].eval()).save(str(path))
    with pytest.raises(ConversionError, match="the converter failed with status") as caught:
        convert_model(path, IMAGE, shape_samples(1)[0], fp16=False, limits=TIGHT)
    assert "torch.jit.trace" in caught.value.hint


def test_a_state_dict_is_no_model(trained: tuple[DigitNet, Path], tmp_path: Path, empty_cache: Path) -> None:
    torch.save(trained[0].state_dict(), tmp_path / "weights.pt")
    with pytest.raises(CorruptModelError, match="no code"):
        convert_model(tmp_path / "weights.pt", IMAGE, shape_samples(1)[0], fp16=False, limits=TIGHT)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_cut_torchscript_archive_is_corrupt(
    trained: tuple[DigitNet, Path], tmp_path: Path, empty_cache: Path, share: float
) -> None:
    whole = trained[1].read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CorruptModelError):
        convert_model(tmp_path / "cut.pt", IMAGE, shape_samples(1)[0], fp16=False, limits=TIGHT)


def test_torchscript_inputs_have_their_names(trained: tuple[DigitNet, Path], empty_cache: Path) -> None:
    image = shape_samples(1)[0][0].tensors["in0"]
    with pytest.raises(ShapeMismatchError, match="are called in0"):
        convert_model(
            trained[1],
            (InputSpec(name="image", shape=(1, 1, 16, 16)),),
            (Sample(name="s", raw={}, tensors={"image": image}),),
            fp16=False,
            limits=TIGHT,
        )
    two = (*IMAGE, InputSpec(name="in1", shape=(1, 1, 16, 16)))
    sample = Sample(name="s", raw={}, tensors={"in0": image, "in1": image})
    with pytest.raises(ShapeMismatchError, match="forward takes 1 inputs"):
        convert_model(trained[1], two, (sample,), fp16=False, limits=TIGHT)


def test_without_torch_there_is_no_silent_pass(
    trained: tuple[DigitNet, Path], empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "torch_is_installed", lambda: False)
    samples, _ = shape_samples(1)
    with pytest.raises(ComparisonError, match="torch is not installed"):
        convert_model(trained[1], IMAGE, samples, fp16=False, limits=TIGHT)
    model = convert_model(trained[1], IMAGE, samples, fp16=False, limits=TIGHT, accept_differences=True)
    assert model.comparison is None
    assert model.warnings


# --- models made here ------------------------------------------------------------------------------------------------


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


def test_a_file_in_the_newest_format_converts(tmp_path: Path, cache: Path) -> None:
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


def test_outputs_and_inputs_are_matched_by_order_not_by_luck(tmp_path: Path, cache: Path) -> None:
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


def test_weights_listed_as_inputs_are_no_inputs(tmp_path: Path, cache: Path) -> None:
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
def test_same_padding_is_translated_rightly(operator: str, auto_pad: str, tmp_path: Path, cache: Path) -> None:
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


# --- bad input -------------------------------------------------------------------------------------------------------


def assert_nothing_written(directory: Path) -> None:
    models = directory / "models"
    assert not models.exists() or not list(models.iterdir())


def expect_failure(
    kind: type[EdgedeployError], path: Path, specs: tuple[InputSpec, ...], samples: tuple[Sample, ...]
) -> EdgedeployError:
    with pytest.raises(kind) as caught:
        convert_model(path, specs, samples, fp16=False, limits=TIGHT)
    assert caught.value.hint
    return caught.value


X = InputSpec(name="x", shape=(1, 3, 48, 192))


def test_a_missing_model_is_named(tmp_path: Path, empty_cache: Path) -> None:
    error = expect_failure(MissingFileError, tmp_path / "gone.onnx", (X,), page_samples(X.shape))
    assert "gone.onnx" in error.message


def _cut(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(len(data) * share)]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": _cut(0.0),
    "first bytes": lambda data: data[:10],
    "a tenth": _cut(0.1),
    "half": _cut(0.5),
    "all but a byte": lambda data: data[:-1],
    "text": lambda _: b"<html>404 Not Found</html>" * 20,
    "zeros": lambda data: bytes(len(data)),
    "shifted": lambda data: data[3:],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_onnx_file_is_corrupt(
    damage: Callable[[bytes], bytes], ocr_files: dict[str, Path], tmp_path: Path, empty_cache: Path
) -> None:
    (tmp_path / "bad.onnx").write_bytes(damage(ocr_files["cls"].read_bytes()))
    error = expect_failure(CorruptModelError, tmp_path / "bad.onnx", (X,), page_samples(X.shape))
    assert "bad.onnx" in error.message
    assert_nothing_written(empty_cache)


def test_an_invalid_graph_is_corrupt(tmp_path: Path, empty_cache: Path) -> None:
    node = helper.make_node("Relu", ["nowhere"], ["y"])
    path = small_model([node], tmp_path / "m.onnx", inputs={"x": (1, 3, 48, 192)}, outputs=["y"])
    expect_failure(CorruptModelError, path, (X,), page_samples(X.shape))


def test_a_file_of_another_kind_is_refused(tmp_path: Path, empty_cache: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
    expect_failure(CorruptModelError, tmp_path / "model.tflite", (X,), page_samples(X.shape))


@pytest.mark.parametrize(
    ("specs", "text"),
    [
        ((InputSpec(name="image", shape=(1, 3, 48, 192)),), "no input image; its inputs are x [?, 3, ?, ?]"),
        ((InputSpec(name="x", shape=(1, 1, 48, 192)),), "cannot have the shape [1, 1, 48, 192]"),
        ((InputSpec(name="x", shape=(1, 3, 48)),), "cannot have the shape [1, 3, 48]"),
        ((InputSpec(name="x", shape=(2, 3, 48, 192)),), "the first dimension is the batch"),
        ((X, InputSpec(name="mask", shape=(1, 3))), "no input mask"),
    ],
)
def test_inputs_that_do_not_fit_are_told_what_would(
    specs: tuple[InputSpec, ...], text: str, ocr_files: dict[str, Path], empty_cache: Path
) -> None:
    error = expect_failure(
        ShapeMismatchError, ocr_files["cls"], specs, random_sample(**{item.name: item.shape for item in specs})
    )
    assert text in error.message
    assert_nothing_written(empty_cache)


def test_an_input_without_a_shape_is_named(tmp_path: Path, empty_cache: Path) -> None:
    path = small_model(
        [helper.make_node("Add", ["x", "z"], ["y"])],
        tmp_path / "m.onnx",
        inputs={"x": (1, 3, 48, 192), "z": (1, 3, 48, 192)},
        outputs=["y"],
    )
    error = expect_failure(ShapeMismatchError, path, (X,), page_samples(X.shape))
    assert "no shape is given for input z" in error.message


def test_samples_have_to_fit_the_inputs(ocr_files: dict[str, Path], empty_cache: Path) -> None:
    other = random_sample(x=(1, 3, 48, 200))
    assert "[1, 3, 48, 200]" in expect_failure(ShapeMismatchError, ocr_files["cls"], (X,), other).message
    expect_failure(ShapeMismatchError, ocr_files["cls"], (X,), random_sample(y=X.shape))
    expect_failure(ComparisonError, ocr_files["cls"], (X,), ())


def test_operators_that_ncnn_lacks_stop_before_converting(
    tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "run_pnnx", _no_conversion)
    path = small_model(
        [
            helper.make_node("Softsign", ["x"], ["a"], name="first"),
            helper.make_node("Hardmax", ["a"], ["y"], name="second"),
        ],
        tmp_path / "m.onnx",
        inputs={"x": (1, 3, 48, 192)},
        outputs=["y"],
    )
    error = expect_failure(UnsupportedOperatorError, path, (X,), page_samples(X.shape))
    assert "Softsign: first" in error.message
    assert "Hardmax: second" in error.message


def test_what_the_converter_leaves_behind_stops_too(tmp_path: Path, empty_cache: Path) -> None:
    """An uneven ConvTranspose passes the precheck and stays a raw ONNX layer."""
    path = small_model(
        [helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], pads=[0, 0, 1, 1], name="up")],
        tmp_path / "m.onnx",
        inputs={"x": (1, 3, 48, 192)},
        outputs=["y"],
        weights={"w": kernel(3, 2, 3, 3)},
    )
    error = expect_failure(UnsupportedOperatorError, path, (X,), page_samples(X.shape))
    assert "ConvTranspose" in error.message
    assert_nothing_written(empty_cache)


def test_a_converter_that_hangs_is_given_up(ocr_files: dict[str, Path], tmp_path: Path) -> None:
    shutil.copyfile(ocr_files["rec"], tmp_path / "model.onnx")
    with pytest.raises(ConversionError, match=r"did not finish in 0\.01 s"):
        pnnx_tool.run_pnnx(tmp_path / "model.onnx", [(1, 3, 48, 320)], hint="wait", deadline_s=0.01)


def test_a_model_the_engine_refuses_is_not_cached(
    ocr_files: dict[str, Path], empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pnnx_tool.run_pnnx

    def misshape(*arguments: Any, **options: Any) -> tuple[Path, Path]:
        param, weights = real(*arguments, **options)
        graph = read_graph(param)
        reshape = next(item for item in graph.layers if item.type == "Reshape")
        text = format_param(graph.with_layer(reshape.with_param(6, "1,1,7")))
        param.write_text(text, encoding="utf-8")
        return param, weights

    monkeypatch.setattr(pipeline, "run_pnnx", misshape)
    with pytest.raises(ConversionError, match="ncnn cannot"):
        convert_ocr("cls", ocr_files, fp16=False, limits=TIGHT)
    assert_nothing_written(empty_cache)


def test_an_interrupted_conversion_leaves_nothing(
    ocr_files: dict[str, Path], empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "probe_in_child", interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert_ocr("cls", ocr_files, fp16=False, limits=TIGHT)
    assert_nothing_written(empty_cache)
    assert store.find_entry("0" * 32) is None
