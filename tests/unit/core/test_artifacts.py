"""What the artifacts say as JSON."""

from __future__ import annotations

import json
import math

from edgedeploy.artifacts import Clock, FlashResult, GoldenOutput, Provenance
from edgedeploy.deploy.release import RollbackResult
from edgedeploy.healthfile import Budget, GoldenHealth, Health

EQUAL = GoldenOutput(name="out0", cosine=1.0, max_abs_error=0.0, sqnr_db=math.nan, passed=True)

HEALTHY = Health(
    release="a" * 64,
    state="proven",
    time="2026-01-02T03:04:05Z",
    back=None,
    reason="",
    emulated=True,
    budget=Budget(memory_mb=100),
    golden=GoldenHealth(passed=True, cosine=1.0, max_abs_error=0.0),
    memory_mb=80.5,
)


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
        health=HEALTHY,
    )
    rollback = RollbackResult(
        app="demo",
        release="a" * 64,
        previous_release=None,
        verified=True,
        golden=(EQUAL,),
        steps=(),
        health=HEALTHY,
    )
    document = json.loads(json.dumps(flash.to_json(), allow_nan=False))
    golden = document["golden"]
    assert golden["outputs"] == json.loads(json.dumps(rollback.to_json(), allow_nan=False))["golden"]
    assert document["health"]["budget"] == {"latency_ms": None, "memory_mb": 100}
    assert document["health"] == rollback.to_json()["health"]
    assert golden["outputs"] == [{"name": "out0", "cosine": 1.0, "max_abs_error": 0.0, "sqnr_db": None, "passed": True}]
    assert (golden["cosine"], golden["max_abs_error"]) == (1.0, 0.0)
