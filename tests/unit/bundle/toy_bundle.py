"""A small bundle, and stand-ins for what convert and build put into it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgedeploy.artifacts import (
    BinaryRequirements,
    BuiltRuntime,
    Bundle,
    ColorOrder,
    ComparisonLimits,
    ConvertedModel,
    InputSpec,
    ModelOutput,
    Postprocessing,
    PostprocessingKind,
    Precision,
    Preprocessing,
    Resize,
    Sample,
)
from edgedeploy.bundle.make import make_bundle

IMAGE = Preprocessing(
    color=ColorOrder.RGB, resize=Resize.BILINEAR, mean=(123.675, 116.28, 103.53), scale=(0.0171, 0.0175, 0.0174)
)
SOURCE_INPUTS = (
    InputSpec(name="x", shape=(1, 3, 8, 6), preprocessing=IMAGE),
    InputSpec(name="state:0", shape=(1, 5)),
)
OUTPUTS = (
    ModelOutput(name="out0", source_name="sigmoid_0.tmp_0", shape=(1, 8, 6)),
    ModelOutput(name="out1", source_name="next_state", shape=(5,)),
)


def write_sources(directory: Path) -> tuple[ConvertedModel, BuiltRuntime]:
    """Write stand-ins for what convert and build make: a bundle only carries them."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "det.param").write_text("7767517\n2 2\n", encoding="ascii")
    (directory / "det.bin").write_bytes(bytes(range(256)) * 8)
    (directory / "edgedeploy-runner").write_bytes(b"\x7fELF" + b"program" * 100)
    model = ConvertedModel(
        param=directory / "det.param",
        weights=directory / "det.bin",
        inputs=tuple(replace(item, name=f"in{index}") for index, item in enumerate(SOURCE_INPUTS)),
        source_inputs=SOURCE_INPUTS,
        outputs=OUTPUTS,
        source_sha256="0" * 64,
        converter_version="pnnx 20261020",
    )
    runtime = BuiltRuntime(
        triple="aarch64-linux-gnu",
        build_id="1234abcd",
        runner=directory / "edgedeploy-runner",
        symbols=directory / "symbols.txt",
        requirements=BinaryRequirements(architecture="aarch64", isa=("fp", "asimd"), glibc=None),
        engine_version="1.0.20261020",
        compiler="g++ 12.2",
        kernels=("gemm_s8s8s32_8x8_neon",),
    )
    return model, runtime


def sample(seed: int = 0) -> Sample:
    generator = np.random.default_rng(seed)
    return Sample(
        name="page.png",
        raw={
            "x": generator.integers(0, 256, (11, 7, 3), dtype=np.uint8),
            "state:0": generator.random((1, 5), dtype=np.float32),
        },
        tensors={},
    )


def golden(seed: int = 0) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    return {item.name: generator.random(item.shape, dtype=np.float32) for item in OUTPUTS}


def build(root: Path, *, target: str = "bundle", **changes: Any) -> Bundle:
    model, runtime = write_sources(root / "sources")
    arguments: dict[str, Any] = {
        "app": "ppocr-det",
        "board_name": "rk3399",
        "model": model,
        "runtime": runtime,
        "sample": sample(),
        "golden_outputs": golden(),
        "golden_limits": ComparisonLimits(max_abs_error=0.05, cosine=0.999),
        "postprocessing": Postprocessing(kind=PostprocessingKind.THRESHOLD, threshold=0.3),
        "precision": Precision.FP16,
        "directory": root / target,
    }
    return make_bundle(**{**arguments, **changes})


def manifest_of(bundle: Bundle) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(bundle.manifest.read_bytes())
    return document
