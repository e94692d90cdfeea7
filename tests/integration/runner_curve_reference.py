"""Sigmoid and mish as the kernels compute them, in numpy and to the last bit.

Source: csrc/kernels/sums_curves_ref.h.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Factors = tuple[FloatArray, FloatArray]

LOG2_OF_E = 1.44269504088896340736
MAX_EXPONENT = np.float32(125)
MAX_MISH_EXPONENT = np.float32(30)
POLYNOMIAL = tuple(
    np.float32(float.fromhex(digits))
    for digits in ("0x1.3997d6p-7", "0x1.ca1440p-5", "0x1.ec06dap-3", "0x1.62e0dcp-1", "0x1.ffffe8p-1")
)
NEWTON = (np.float32(float.fromhex("0x1.0029fep+1")), np.float32(float.fromhex("0x1.000006p+1")))
MIDDLE = np.float32(1.5 * 2**23 + 127)
RECIPROCAL_BITS = np.uint32(0x7EF3340B)
TWO = np.float32(2)


def fused(factor: FloatArray, scale: FloatArray, offset: FloatArray) -> FloatArray:
    """factor * scale + offset with one rounding.

    In float64 the product is exact. The sum is rounded to odd there, after which rounding to float32 is as good as
    rounding the exact sum.
    """
    product = factor.astype(np.float64) * scale.astype(np.float64)
    wide = np.broadcast_to(offset.astype(np.float64), product.shape)
    total = product + wide
    of_product = total - wide
    error = (product - of_product) + (wide - (total - of_product))
    bits = np.ascontiguousarray(total).view(np.int64)
    away = np.where(np.sign(error) == np.sign(total), 1, -1)
    odd = np.where((error != 0) & (bits % 2 == 0), bits + away, bits)
    return odd.view(np.float64).astype(np.float32)


def _polynomial(rest: FloatArray) -> FloatArray:
    value = np.full_like(rest, POLYNOMIAL[0])
    for coefficient in POLYNOMIAL[1:]:
        value = fused(value, rest, np.asarray(coefficient))
    return value


def _power_of_two(rounded: FloatArray) -> FloatArray:
    return np.asarray((np.ascontiguousarray(rounded).view(np.uint32) << 23).view(np.float32))


def _reciprocal(values: FloatArray) -> Factors:
    nearer = (RECIPROCAL_BITS - np.ascontiguousarray(values).view(np.uint32)).view(np.float32)
    nearer = nearer * fused(-values, nearer, np.asarray(NEWTON[0]))
    return nearer, fused(-values, nearer, np.asarray(NEWTON[1]))


def sigmoid_factors(exponents: FloatArray, output_scale: np.float32) -> Factors:
    """Factors of ``output_scale / (1 + e ** -v)``.

    Args:
        exponents: ``-v * log2(e) - log2(output_scale)``.
    """
    bounded = np.minimum(np.maximum(exponents, -MAX_EXPONENT), MAX_EXPONENT)
    rounded = bounded + MIDDLE
    polynomial = _polynomial(bounded - (rounded - MIDDLE))
    return _reciprocal(fused(polynomial, _power_of_two(rounded), np.asarray(np.float32(1) / output_scale)))


def mish_factors(values: FloatArray, output_scale: np.float32) -> Factors:
    """Factors of mish in codes; ``values`` are codes too, of a one ``output_scale``."""
    slope = np.float32(LOG2_OF_E / float(output_scale))
    bounded = np.minimum(np.maximum(values, -MAX_EXPONENT / slope), MAX_MISH_EXPONENT / slope)
    rounded = fused(bounded, np.asarray(slope), np.asarray(MIDDLE))
    power = _polynomial(fused(bounded, np.asarray(slope), MIDDLE - rounded)) * _power_of_two(rounded)
    numerator = power * (power + TWO)
    first, second = _reciprocal(numerator + TWO)
    return values, numerator * (first * second)


CURVES: dict[int, Callable[[FloatArray, np.float32], Factors]] = {4: sigmoid_factors, 5: mish_factors}
"""By ncnn's numbers of the activations."""
