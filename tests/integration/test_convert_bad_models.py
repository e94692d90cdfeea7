"""Models, inputs and converters that fail: typed errors that name the fault, and nothing left in the cache."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_conversion import (
    TIGHT,
    convert_ocr,
    kernel,
    no_conversion,
    page_samples,
    random_sample,
    small_model,
)
from onnx import helper

from edgedeploy.artifacts import InputSpec, Sample
from edgedeploy.convert import pipeline, pnnx_tool, store
from edgedeploy.convert.pipeline import convert_model
from edgedeploy.errors import (
    ComparisonError,
    ConversionError,
    CorruptModelError,
    EdgedeployError,
    MissingFileError,
    ShapeMismatchError,
    UnsupportedOperatorError,
)
from edgedeploy.graph import format_param, read_graph
from edgedeploy.paths import CACHE_VARIABLE


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
    monkeypatch.setattr(pipeline, "run_pnnx", no_conversion)
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


def test_a_cache_that_cannot_be_written_is_told(
    ocr_files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    error = expect_failure(ConversionError, ocr_files["cls"], (X,), page_samples(X.shape))
    assert "cannot be written" in error.message


def test_a_converter_that_cannot_be_started_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pnnx").write_bytes(b"not a program")
    monkeypatch.setattr(pnnx_tool, "pnnx_program", lambda: tmp_path / "pnnx")
    with pytest.raises(ConversionError, match="does not start"):
        pnnx_tool.run_pnnx(tmp_path / "model.onnx", [(1, 3, 48, 320)], hint="wait")
