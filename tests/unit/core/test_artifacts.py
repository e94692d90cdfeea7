"""What the artifacts say as JSON."""

from __future__ import annotations

import json
import math

from edgedeploy.artifacts import Clock, FlashResult, GoldenOutput, Provenance
from edgedeploy.deploy.release import RollbackResult

EQUAL = GoldenOutput(name="out0", cosine=1.0, max_abs_error=0.0, sqnr_db=math.nan, passed=True)


def test_outputs_equal_bit_for_bit_are_valid_json() -> None:
    """Their SQNR is infinite; strict readers refuse NaN and Infinity."""
    flash = FlashResult(
        app="demo",
        board="rk3399",
        provenance=Provenance.QEMU_SYSTEM,
        clock=Clock.REAL,
        release="a" * 64,
        previous_release=None,
        verified=True,
        unchanged=False,
        golden=(EQUAL,),
        steps=(),
    )
    rollback = RollbackResult(
        app="demo", release="a" * 64, previous_release=None, verified=True, golden=(EQUAL,), steps=()
    )
    golden = json.loads(json.dumps(flash.to_json(), allow_nan=False))["golden"]
    assert golden["outputs"] == json.loads(json.dumps(rollback.to_json(), allow_nan=False))["golden"]
    assert golden["outputs"] == [{"name": "out0", "cosine": 1.0, "max_abs_error": 0.0, "sqnr_db": None, "passed": True}]
    assert (golden["cosine"], golden["max_abs_error"]) == (1.0, 0.0)
