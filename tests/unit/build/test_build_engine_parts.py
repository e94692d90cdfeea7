"""Of the engine only what a model needs on a board: the closure over the engine's source, and its CMake options."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedeploy.boards.load import load_board
from edgedeploy.build.engine import engine_key
from edgedeploy.build.engine_parts import EngineParts, known_layers, needed_layers
from edgedeploy.build.toolchain import Compiler, Toolchain
from edgedeploy.errors import BuildFailedError

TRIPLE = "aarch64-linux-gnu"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source laid out as the engine's: one layer makes another, one derives from another, the engine pads."""
    layers = tmp_path / "src" / "layer"
    (layers / "arm").mkdir(parents=True)
    names = ("Convolution", "ConvolutionDepthWise", "InnerProduct", "Flatten", "Padding", "Packing", "ReLU", "Softmax")
    text = "".join(f"ncnn_add_layer({name})\n" for name in names) + "ncnn_add_layer(SPP OFF)\n"
    (tmp_path / "src" / "CMakeLists.txt").write_text(f"# list\n{text}")
    (tmp_path / "src" / "mat.cpp").write_text(
        "Layer* padding = create_layer(LayerType::Padding); create_layer( LayerType::Packing);"
    )
    for name in (*names, "SPP"):
        (layers / f"{name.lower()}.cpp").write_text(f'#include "{name.lower()}.h"\n#include <math.h>\n')
    (layers / "convolutiondepthwise.h").write_text('#include "layer.h"\n')
    (layers / "arm" / "convolutiondepthwise_arm.cpp").write_text(
        "op = ncnn::create_layer_cpu(ncnn::LayerType::Convolution);\n"
    )
    (layers / "convolution.cpp").write_text('#include "layer_type.h"\n#include "innerproduct.h"\n')
    (layers / "arm" / "innerproduct_arm.h").write_text(
        "if (type == LayerType::Softmax) create_layer(LayerType::Flatten);"
    )
    return tmp_path


def test_what_a_layer_makes_or_derives_from_comes_along(source: Path) -> None:
    own = {"Padding", "Packing"}
    assert needed_layers(source, []) == own
    assert needed_layers(source, ["ReLU", "ReLU"]) == {"ReLU", *own}
    whole = needed_layers(source, ["ConvolutionDepthWise"])
    assert whole == {"ConvolutionDepthWise", "Convolution", "InnerProduct", "Flatten", *own}, "Softmax is only named"


def test_what_a_header_makes_that_layers_share_comes_along(source: Path) -> None:
    """An activation that is fused is a layer all the same: without it the engine follows a null pointer."""
    layers = source / "src" / "layer"
    (layers / "innerproduct.cpp").write_text('#include "fused_activation.h"\n')
    (layers / "fused_activation.h").write_text("activation = ncnn::create_layer_cpu(ncnn::LayerType::ReLU);\n")
    (layers / "arm" / "convolution_arm.cpp").write_text('#include "convolution_tiles.h"\n#include "cpu.h"\n')
    (layers / "arm" / "convolution_tiles.h").write_text("create_layer(LayerType::Softmax)\n")
    assert needed_layers(source, ["InnerProduct"]) == {"InnerProduct", "Flatten", "ReLU", "Padding", "Packing"}
    assert {"ReLU", "Softmax"} < needed_layers(source, ["Convolution"])


def test_a_type_that_the_engine_lacks_is_left_to_the_runner(source: Path) -> None:
    assert needed_layers(source, ["Telepathy"]) == {"Padding", "Packing"}


def test_the_rest_is_turned_off(source: Path) -> None:
    parts = EngineParts(layers=frozenset({"ReLU"}), features=frozenset({"asimdhp", "asimddp"}))
    options = parts.options(source, triple=TRIPLE)
    assert set(options.values()) == {"OFF"}
    assert {name for name in options if name.startswith("WITH_LAYER_")} == {
        f"WITH_LAYER_{name}" for name in known_layers(source) if name not in {"relu", "padding", "packing"}
    }
    assert "NCNN_ARM82" not in options and "NCNN_ARM82DOT" not in options
    assert {"NCNN_ARM82FP16FML", "NCNN_ARM86SVE"} <= set(options)


@pytest.mark.parametrize(
    ("board", "off", "on"),
    [("rk3399", "NCNN_ARM82", None), ("rpi5", "NCNN_ARM84I8MM", "NCNN_ARM82DOT"), ("rpi2", None, "NCNN_VFPV4")],
)
def test_variants_are_those_of_the_boards_cores(source: Path, board: str, off: str | None, on: str | None) -> None:
    definition = load_board(board, project_dir=None)
    options = EngineParts(layers=frozenset(), features=definition.features).options(source, triple=definition.triple)
    assert off is None or off in options
    assert on not in options


def test_a_source_of_another_layout_is_said(source: Path) -> None:
    (source / "src" / "mat.cpp").unlink()
    with pytest.raises(BuildFailedError, match=r"mat\.cpp cannot be read"):
        needed_layers(source, ["ReLU"])
    (source / "src" / "CMakeLists.txt").write_text("add_library(ncnn)")
    with pytest.raises(BuildFailedError, match="lists no layers") as caught:
        known_layers(source)
    assert "whole" in caught.value.hint


def test_what_is_left_out_changes_the_engines_key() -> None:
    toolchain = Toolchain(triple=TRIPLE, file=Path("/toolchains/a.cmake"), sha256="1" * 64)
    compiler = Compiler(version="g++ 12.2.0", fingerprint="2" * 64)
    keys = {engine_key(toolchain, compiler, left_out=item) for item in ({}, {"A": "OFF"}, {"B": "OFF"})}
    assert len(keys) == 3
    assert engine_key(toolchain, compiler) == engine_key(toolchain, compiler, left_out={}), "the whole engine's stays"
