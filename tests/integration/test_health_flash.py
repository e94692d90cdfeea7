"""The health gate with the real on-board program: flashed to this machine, judged by what it measures itself."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from deploy_workbench import APP, Workbench, make_workbench
from runner_program import Runner

from edgedeploy.artifacts import Bundle, BundleFile
from edgedeploy.deploy.release import status
from edgedeploy.errors import LatencyBudgetError, MemoryBudgetError
from edgedeploy.files import file_sha256
from edgedeploy.healthfile import Budget

pytestmark = pytest.mark.cross

AMPLE = Budget(latency_ms=1e6, memory_mb=1e5)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return make_workbench("system", tmp_path)


@pytest.fixture
def bundle(bench: Workbench, runner: Runner, classifier_release: Path) -> Bundle:
    """The classifier, with the real program as a file that this machine can start."""
    qemu = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    assert qemu, "qemu-user is not installed: sudo apt-get install -y qemu-user"
    program = classifier_release / "bin" / "edgedeploy-runner"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {qemu} {shlex.quote(str(runner.program))} "$@"\n', encoding="utf-8")
    manifest = classifier_release / "manifest.json"
    files = [path for path in sorted(classifier_release.rglob("*")) if path.is_file() and path != manifest]
    return replace(
        bench.bundle(),
        digest=file_sha256(manifest),
        manifest=manifest,
        files=tuple(
            BundleFile(
                path=PurePosixPath(path.relative_to(classifier_release)),
                source=path,
                sha256=file_sha256(path),
                size_bytes=path.stat().st_size,
                mode=0o755 if path == program else 0o644,
            )
            for path in files
        ),
    )


def test_ample_budgets_are_met(bench: Workbench, bundle: Bundle) -> None:
    result = bench.flash(bundle, hardware=True, budget=AMPLE, threads=1)
    assert result.health is not None and result.health.state == "proven"
    assert result.health.latency is not None and result.health.golden is not None
    assert (result.health.latency.threads, result.health.latency.warmup) == (1, 3)
    assert 3 <= result.health.latency.runs <= 20
    assert 0 < result.health.latency.median_ms < 1e6
    assert result.health.golden.cosine is not None and result.health.golden.cosine > 0.9999
    assert result.health.memory_mb is not None and result.health.memory_mb > 1


@pytest.mark.parametrize(
    ("budget", "kind", "told"),
    [
        (
            replace(AMPLE, latency_ms=1e-6),
            LatencyBudgetError,
            r"latency [0-9.]+ ms, the median of \d+ runs on 1 threads",
        ),
        (replace(AMPLE, memory_mb=0.001), MemoryBudgetError, r"memory [0-9.]+ MB at its peak"),
    ],
)
def test_a_budget_that_nothing_meets(
    bench: Workbench, bundle: Bundle, budget: Budget, kind: type[Exception], told: str
) -> None:
    good = bench.bundle("weights 0")
    bench.flash(good, hardware=True)
    with pytest.raises(kind, match=f"{told}.*, over the budget of .*; rolled back automatically"):
        bench.flash(bundle, hardware=True, budget=budget, threads=1)
    assert bench.current == good.digest
    assert "over the budget of" in status(bench.transport(), APP).history[-1].reason
    assert not (bench.root / "releases" / bundle.digest).exists()
