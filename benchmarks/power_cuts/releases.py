"""Releases of one small net that differ in their weights: every flash has something to send and to prove."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from edgedeploy.artifacts import (
    Bundle,
    ComparisonLimits,
    ConvertedModel,
    InputSpec,
    ModelOutput,
    Postprocessing,
    Precision,
    Sample,
)
from edgedeploy.build.runtime import build_runtime
from edgedeploy.bundle.make import make_bundle
from edgedeploy.cli.releases import golden_outputs
from edgedeploy.progress import SILENT

APP = "power-cut"
BOARD = "rk3399"
TRIPLE = "aarch64-linux-gnu"
INPUT_SHAPE = (1, 8, 16, 16)
CLASSES = 64
FLOAT32_TAG = 0
PARAM = """7767517
2 2
Input in0 0 1 in0
InnerProduct fc 1 1 in0 out0 0={classes} 1=1 2={weights}
"""


def make_release(directory: Path, seed: int) -> Bundle:
    """Return the release of a seed: 0.5 MB of weights, their golden output, and the on-board program.

    Args:
        directory: Where its files are written; they are needed until it is flashed.
    """
    rng = np.random.default_rng(seed)
    elements = int(np.prod(INPUT_SHAPE))
    weights = rng.normal(0, 0.05, CLASSES * elements).astype("<f4")
    bias = rng.normal(0, 0.1, CLASSES).astype("<f4")
    here = directory / f"release-{seed}"
    here.mkdir(parents=True)
    param, binary = here / "model.param", here / "model.bin"
    param.write_text(PARAM.format(classes=CLASSES, weights=weights.size), encoding="ascii")
    binary.write_bytes(struct.pack("<I", FLOAT32_TAG) + weights.tobytes() + bias.tobytes())
    array = rng.normal(0, 1, INPUT_SHAPE).astype(np.float32)
    inputs = (InputSpec(name="in0", shape=INPUT_SHAPE),)
    model = ConvertedModel(
        param=param,
        weights=binary,
        inputs=inputs,
        source_inputs=inputs,
        outputs=(ModelOutput(name="out0", source_name="out0", shape=(CLASSES,)),),
        source_sha256="0" * 64,
        converter_version="none",
    )
    sample = Sample(name=f"seed {seed}", raw={"in0": array}, tensors={"in0": array})
    return make_bundle(
        app=APP,
        board_name=BOARD,
        model=model,
        runtime=build_runtime(TRIPLE, progress=SILENT),
        sample=sample,
        golden_outputs=golden_outputs(model, sample),
        golden_limits=ComparisonLimits(),
        postprocessing=Postprocessing(),
        precision=Precision.FP32,
        directory=here / "bundle",
    )
