"""What a quantization is asked for: methods, seed, and what the target's CPU makes of int8."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any


class Calibrator(str, Enum):
    """How the range of a blob is chosen from what calibration saw of it.

    ``ABSMAX`` takes the largest magnitude, ``PERCENTILE`` cuts a share of the values off, ``KL`` minimises the
    divergence of the quantized distribution (as the engine's own tool does), ``MSE`` minimises the error of the outputs
    of the layers that read the blob.
    """

    ABSMAX = "absmax"
    PERCENTILE = "percentile"
    KL = "kl"
    MSE = "mse"


class Rounding(str, Enum):
    """How weights are rounded: each to its nearest step, or together so that the layer's outputs change least."""

    NEAREST = "nearest"
    OUTPUT = "output"


class RangeRule(str, Enum):
    """How blobs between int8 layers use the 255 steps.

    ``SYMMETRIC`` has zero in the middle; ``SHIFTED`` moves the range of blobs that are never negative by a bias and a
    pad value, so that ReLU's outputs use all steps.
    """

    SYMMETRIC = "symmetric"
    SHIFTED = "shifted"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the board's CPU means for int8.

    Args:
        name: The board's name, for the report.
        dotprod: Whether the cores that inference runs on have the dot product instructions (``asimddp``). Without them
            the engine computes 3x3 stride-1 convolutions by Winograd's F(4,3), whose accumulators overflow sooner.
        own_layers: Whether the program that runs the network has this project's layers, as the runner does: their
            Winograd is exact for any sum. False: the engine's own layers alone.
        half_floats: Whether that program may store floats in half precision.
    """

    name: str
    dotprod: bool
    own_layers: bool = False
    half_floats: bool = False


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that decides the result, apart from the model, the data and the target.

    Args:
        calibrator: For blobs.
        percentile: Of the magnitudes, in percent, for ``PERCENTILE``.
        images: How many items of the data are used at most; chosen by the seed where there are more.
        seed: Of every random choice.
        equalize: Whether ranges are evened out over channels first.
        ranges: Whether ranges may be shifted.
        correct_bias: Whether biases make up for the mean error that quantization brings in.
        rounding: Of weights.
    """

    calibrator: Calibrator = Calibrator.MSE
    percentile: float = 99.99
    images: int = 300
    seed: int = 0
    equalize: bool = True
    ranges: RangeRule = RangeRule.SHIFTED
    correct_bias: bool = True
    rounding: Rounding = Rounding.OUTPUT

    def to_json(self) -> dict[str, Any]:
        return {key: value.value if isinstance(value, Enum) else value for key, value in asdict(self).items()}


NAIVE = Settings(
    calibrator=Calibrator.ABSMAX,
    equalize=False,
    ranges=RangeRule.SYMMETRIC,
    correct_bias=False,
    rounding=Rounding.NEAREST,
)
"""Plain absmax, for comparisons: what quantization costs without any of the methods."""
