"""A quantization to show: every part of the record filled, with numbers that a real one could have."""

from __future__ import annotations

import math
from typing import Any

from edgedeploy.artifacts import Clock, Provenance
from edgedeploy.latency_stats import Interval
from edgedeploy.quantfile import (
    AccumulatorEntry,
    DataRecord,
    EncodingEntry,
    EqualizationEntry,
    EqualizedEntry,
    Fidelity,
    FileEntry,
    FilesRecord,
    LayerEntry,
    MetricRecord,
    ModelRecord,
    OutputEntry,
    PassEntry,
    PrecisionStep,
    QuantizationRecord,
    SensitivityEntry,
    SkippedEntry,
    SpeedFigure,
    SpeedRecord,
    SpeedSection,
    TargetRecord,
    TrialEntry,
    WeightBits,
    WeightScales,
    WorstItem,
)

LAYERS = 14
KEPT = 5
HASH = "ab" * 32


def layer_entry(index: int, **changes: Any) -> LayerEntry:
    """Return the layer at a place of the network; the first layers are better than the last."""
    depthwise = index % 3 == 1
    kept = index == KEPT
    values: dict[str, Any] = {
        "name": f"convdw_{index}" if depthwise else f"conv_{index}",
        "type": "ConvolutionDepthWise" if depthwise else "Convolution",
        "int8": not kept,
        "reason": "putting it back won most" if kept else "",
        "input": None if kept else EncodingEntry(scale=127 / 3, direction=-1 if index else 1, middle=3.0),
        "output": None if kept or index == LAYERS - 1 else EncodingEntry(scale=127 / 2.4, direction=1, middle=0.0),
        "requantized": not kept and index < LAYERS - 1,
        "activation": "ReLU6" if index % 2 else "none",
        "weight_bits": None if kept else WeightBits(least=8, most=8, reduced_channels=0, channels=32),
        "weight_scales": None if kept else WeightScales(least=63.5, most=127.0),
        "accumulator": None
        if kept
        else AccumulatorEntry(
            bound=400_000, limit=3_728_270, headroom_bits=3.2, choice="twice the calibrated sums stay within it"
        ),
        "winograd": "on" if index == 3 else "not used",
        "clipping": None if kept else 0.0004,
        "own": None if kept else Fidelity(sqnr_db=41.0 - 4 * (index % 4), cosine=0.9999),
        "accumulated": Fidelity(sqnr_db=39.0 - 1.3 * index, cosine=0.9995 - 0.0004 * index),
        "bias_correction": 0.0 if kept else 0.0031,
    }
    return LayerEntry(**{**values, **changes})


def speed_record(*, int8: float = 8.1, hardware: bool = True) -> SpeedRecord:
    """Return int8 against float at 12.4 and half precision at 9.0."""
    ratio = int8 / 9.0
    faster = ratio < 1
    return SpeedRecord(
        provenance=Provenance.HARDWARE if hardware else Provenance.QEMU_SYSTEM,
        clock=None if hardware else Clock.INSTRUCTIONS,
        unit="ms" if hardware else "million instructions",
        float32=SpeedFigure(label="fp32", value=12.4, runs=30, release=HASH),
        float16=SpeedFigure(label="fp16", value=9.0, runs=30, release=HASH),
        int8=SpeedFigure(label="int8", value=int8, runs=30, release=HASH),
        ratio=ratio,
        interval=Interval(low=ratio - 0.01, high=ratio + 0.01) if hardware else None,
        verdict="faster" if faster else "slower",
        recommended="int8" if faster else "fp16",
        recommendation="Ship int8." if faster else "Ship fp16: int8 is not faster here.",
    )


def metric_record(**changes: Any) -> MetricRecord:
    values: dict[str, Any] = {
        "name": "top1",
        "data": DataRecord(source="data/validation", items=800, used=tuple(f"{n}.png" for n in range(200))),
        "shares_calibration": 0,
        "float_score": 91.42,
        "int8_score": 91.31,
        "drop": 0.11,
        "max_drop": 0.3,
        "held": True,
        "put_back": ("conv_5",),
        "steps": (
            PrecisionStep(
                layers=("conv_5",),
                to_float=True,
                reason="wins most for what it costs",
                drop_before=1.4,
                drop_after=0.11,
                holds=True,
            ),
            PrecisionStep(
                layers=("conv_5",),
                to_float=False,
                reason="others may do",
                drop_before=0.11,
                drop_after=1.4,
                holds=False,
            ),
        ),
        "layers": (
            SensitivityEntry(
                layer="conv_5", alone_db=23.1, drop=12.5, noise_share=0.51, cost=0.04, wins_db=3.26, wins=-0.5
            ),
            SensitivityEntry(layer="conv_2", alone_db=None, noise_share=0.0, cost=0.1),
        ),
    }
    return MetricRecord(**{**values, **changes})


def quantization_record(**changes: Any) -> QuantizationRecord:
    """Return the record of a small network, with some parts replaced."""
    values: dict[str, Any] = {
        "schema": 1,
        "id": "20260102T030405Z-0a1b2c3d",
        "created_at": "2026-01-02T03:04:05Z",
        "model": ModelRecord(name="shapes", source="shapes.onnx", param_sha256=HASH, weights_sha256=HASH),
        "versions": {"edgedeploy": "0.1.0", "engine": "ncnn 1.0.20261020"},
        "command": "edgedeploy quantize --board rk3399 --max-drop 0.3",
        "target": TargetRecord(board="rk3399", dotprod=False),
        "settings": {"calibrator": "mse", "images": 300, "seed": 0, "equalize": True, "percentile": 99.99},
        "trials": (
            TrialEntry(
                settings={"calibrator": "mse", "seed": 0, "equalize": True}, drop=0.11, sqnr_db=21.0, chosen=True
            ),
            TrialEntry(
                settings={"calibrator": "absmax", "seed": 0, "equalize": True}, drop=2.4, sqnr_db=math.nan, chosen=False
            ),
        ),
        "data": DataRecord(source="data/calibration", items=1200, used=tuple(f"c{n}.png" for n in range(300))),
        "passes": (
            PassEntry(name="merge-splits", layers_before=60, layers_after=60, max_difference=None, kept=True),
            PassEntry(name="fold-batch-norm", layers_before=60, layers_after=46, max_difference=2.1e-7, kept=True),
            PassEntry(name="fuse-activations", layers_before=46, layers_after=40, max_difference=math.inf, kept=False),
        ),
        "equalization": EqualizationEntry(
            pairs=(EqualizedEntry(first="conv_0", second="convdw_1", channels=32, scale_min=0.21, scale_max=4.4),),
            skipped=(SkippedEntry(first="conv_2", reader=None, reason="its output has several readers"),),
            max_difference=3.2e-7,
            kept=True,
        ),
        "layers": tuple(layer_entry(index) for index in range(LAYERS)),
        "int8_macs": 0.96,
        "outputs": (OutputEntry(name="out0", error=Fidelity(sqnr_db=21.7, cosine=0.99662)),),
        "metric": metric_record(),
        "worst": (
            WorstItem(index=17, name="17.png", float_score=100.0, int8_score=0.0, sqnr_db=9.3),
            WorstItem(index=81, name="81.png", float_score=None, int8_score=None, sqnr_db=11.2),
        ),
        "speed": SpeedSection(measured=None),
        "files": FilesRecord(
            param=FileEntry(name="model.param", sha256=HASH, size_bytes=4_200),
            weights=FileEntry(name="model.bin", sha256=HASH, size_bytes=1_310_720),
        ),
        "warnings": (),
    }
    return QuantizationRecord(**{**values, **changes})
