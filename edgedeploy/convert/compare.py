"""The compare gate: the original's outputs against the converted model's, on real samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgedeploy.artifacts import Comparison, ComparisonLimits, FloatArray, ModelOutput, OutputComparison
from edgedeploy.errors import ComparisonError, ConversionError

SQNR_CAP_DB = 200.0
"""Stands for infinity, so that results stay valid JSON; float32 cannot show more than about 150 dB."""

LARGEST_ERROR = float(np.finfo(np.float32).max)
"""Stands for an error that is not finite."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far an output is from its reference. ``cosine`` is 1 for equal arrays, also for two of zeros."""

    max_abs_error: float
    cosine: float
    sqnr_db: float

    def worst(self, other: Difference) -> Difference:
        return Difference(
            max_abs_error=max(self.max_abs_error, other.max_abs_error),
            cosine=min(self.cosine, other.cosine),
            sqnr_db=min(self.sqnr_db, other.sqnr_db),
        )


def measure(reference: FloatArray, found: FloatArray) -> Difference:
    """Measure one output.

    Args:
        reference: The original's values.
        found: The converted model's, with as many elements in the same order.

    Returns:
        For example ``Difference(max_abs_error=1e-6, cosine=1.0, sqnr_db=110.0)``. Values that are not finite have
        to be the same on both sides and count no further; anything else is the largest error there is.
    """
    expected, actual = reference.ravel().astype(np.float64), found.ravel().astype(np.float64)
    finite = np.isfinite(expected) & np.isfinite(actual)
    if not np.array_equal(expected[~finite], actual[~finite], equal_nan=True):
        return Difference(max_abs_error=LARGEST_ERROR, cosine=-1.0, sqnr_db=-SQNR_CAP_DB)
    expected, actual = expected[finite], actual[finite]
    error = actual - expected
    return Difference(
        max_abs_error=float(np.abs(error).max(initial=0.0)),
        cosine=_cosine(expected, actual),
        sqnr_db=_sqnr_db(float(expected @ expected), float(error @ error)),
    )


def check_shape(output: ModelOutput, reference: FloatArray) -> None:
    """Check that an output's shape is the reference's, apart from dimensions of size 1.

    Raises:
        ConversionError: They differ: the converter mixed up outputs or dimensions.
    """
    expected = [size for size in reference.shape if size != 1]
    if [size for size in output.shape if size != 1] != expected:
        raise ConversionError(
            f"output {output.source_name} has the shape {list(reference.shape)} in the original and "
            f"{list(output.shape)} (without batch) after conversion as {output.name}",
            hint="the converter misread the batch dimension or an operator; see docs/convert.md",
        )


def compare_outputs(
    outputs: Sequence[ModelOutput],
    pairs: Sequence[tuple[Mapping[str, FloatArray], Mapping[str, FloatArray]]],
) -> dict[str, Difference]:
    """Return every output's worst difference over the samples.

    Args:
        outputs: The converted model's outputs.
        pairs: A sample each: the original's outputs by source name, the converted model's by the engine's.
    """
    worst: dict[str, Difference] = {}
    for reference, found in pairs:
        for output in outputs:
            now = measure(reference[output.source_name], found[output.name])
            worst[output.name] = worst[output.name].worst(now) if output.name in worst else now
    return worst


def judge(
    outputs: Sequence[ModelOutput],
    differences: Mapping[str, Difference],
    *,
    reference: str,
    samples: int,
    limits: ComparisonLimits,
) -> Comparison:
    """Hold the differences against the limits."""
    judged = tuple(_judge_output(item, differences[item.name], limits) for item in outputs)
    return Comparison(reference=reference, samples=samples, limits=limits, outputs=judged)


def require_passed(comparison: Comparison) -> None:
    """Stop where an output is beyond the limits.

    Raises:
        ComparisonError: With a line an output.
    """
    if comparison.passed:
        return
    limits = comparison.limits
    lines = [
        f"  {item.name}: max abs error {item.max_abs_error:.3g}, cosine {item.cosine:.6f}, "
        f"SQNR {item.sqnr_db:.1f} dB{'' if item.passed else '  <- beyond the limits'}"
        for item in comparison.outputs
    ]
    raise ComparisonError(
        f"the converted model differs from the original ({comparison.reference}, {comparison.samples} samples) "
        f"by more than max abs error {limits.max_abs_error:g}, cosine {limits.cosine:g}, SQNR {limits.sqnr_db:g} dB:\n"
        + "\n".join(lines),
        hint="docs/convert.md lists the usual causes; --accept-differences goes on in spite of it",
    )


def with_limits(comparison: Comparison, limits: ComparisonLimits) -> Comparison:
    """Return the same measurements held against other limits."""
    outputs = tuple(
        replace(
            item,
            passed=_within(
                Difference(max_abs_error=item.max_abs_error, cosine=item.cosine, sqnr_db=item.sqnr_db), limits
            ),
        )
        for item in comparison.outputs
    )
    return replace(comparison, limits=limits, outputs=outputs)


def _judge_output(output: ModelOutput, found: Difference, limits: ComparisonLimits) -> OutputComparison:
    return OutputComparison(
        name=output.name,
        shape=output.shape,
        max_abs_error=found.max_abs_error,
        cosine=found.cosine,
        sqnr_db=found.sqnr_db,
        passed=_within(found, limits),
    )


def _within(found: Difference, limits: ComparisonLimits) -> bool:
    return (
        found.max_abs_error <= limits.max_abs_error
        and found.cosine >= limits.cosine
        and found.sqnr_db >= limits.sqnr_db
    )


def _cosine(expected: NDArray[np.float64], actual: NDArray[np.float64]) -> float:
    lengths = float(np.linalg.norm(expected) * np.linalg.norm(actual))
    if lengths == 0.0:
        return 1.0 if np.array_equal(expected, actual) else 0.0
    return float(np.clip(expected @ actual / lengths, -1.0, 1.0))


def _sqnr_db(signal: float, noise: float) -> float:
    if noise == 0.0:
        return SQNR_CAP_DB
    if signal == 0.0:
        return -SQNR_CAP_DB
    return float(np.clip(10.0 * np.log10(signal / noise), -SQNR_CAP_DB, SQNR_CAP_DB))
