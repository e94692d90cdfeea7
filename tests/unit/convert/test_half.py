"""Half-precision weights: kept where they survive, in float32 where they would not."""

from __future__ import annotations

import numpy as np
import pytest

from edgedeploy.convert.half import survives_half, with_half_weights
from edgedeploy.graph import Storage, attach_weights, make_weight, parse_param

TEXT = "7767517\n2 2\nInput in0 0 1 in0\nInnerProduct fc 1 1 in0 out0 0=4 1=1 2=12\n"


@pytest.mark.parametrize(
    ("scale", "expected"), [(1.0, Storage.FP16), (1e3, Storage.FP16), (1e-6, Storage.FP32), (1e6, Storage.FP32)]
)
def test_a_weight_changes_its_storage_only_where_it_survives(scale: float, expected: Storage) -> None:
    values = (np.random.default_rng(0).normal(size=(4, 3)) * scale).astype(np.float32)
    bias = make_weight("bias", np.full(4, 1e-6, np.float32), Storage.UNTAGGED)
    data = make_weight("weight", values, Storage.FP32).to_bytes() + bias.to_bytes()
    layer = with_half_weights(attach_weights(parse_param(TEXT), data)).layer("fc")
    assert layer.weight("weight").storage is expected
    np.testing.assert_allclose(layer.weight("weight").array.astype(np.float32), values, rtol=1e-3)
    assert layer.weight("bias") == bias, "untagged arrays have one storage"


def test_a_few_small_values_among_large_ones_do_no_harm() -> None:
    assert survives_half(np.array([1.0, -0.5, 1e-7], np.float32))


def test_values_that_parts_of_the_engine_flush_to_zero_count_as_lost() -> None:
    assert not survives_half(np.full(8, 3e-5, np.float32)), "representable as subnormals, but not everywhere"


def test_zeros_survive() -> None:
    assert survives_half(np.zeros(3, np.float32))
