"""Two hosts, one board: the lock; and a board whose clock is wrong."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from deploy_workbench import APP, Workbench

from edgedeploy.deploy.lock import new_owner
from edgedeploy.deploy.release import status
from edgedeploy.errors import BoardBusyError, EdgedeployError
from edgedeploy.transport.fake import FaultyTransport


def test_two_hosts_at_once(bench: Workbench) -> None:
    """The second is told who is there since when; the first is not disturbed."""
    first, second = bench.bundle("weights 1"), bench.bundle("weights 2")
    told: list[EdgedeployError] = []

    class Meanwhile(FaultyTransport):
        def put(self, source: Path, destination: PurePosixPath, **options: Any) -> None:
            if not told:
                with pytest.raises(BoardBusyError) as caught:
                    bench.flash(second)
                told.append(caught.value)
            super().put(source, destination, **options)

    assert bench.flash(first, Meanwhile(bench.transport())).verified
    assert new_owner().who in told[0].message and "for " in told[0].message
    assert "--break-lock" in told[0].hint
    assert bench.current == first.digest
    bench.check_whole()
    assert bench.flash(second).verified


def test_only_one_of_many_gets_the_lock(bench: Workbench) -> None:
    bench.flash(bench.bundle())
    script = (
        "import sys\nfrom edgedeploy.deploy.lock import new_owner\nfrom edgedeploy.deploy.survey import take_survey\n"
        "from edgedeploy.errors import BoardBusyError\nfrom edgedeploy.transport.local import LocalTransport\n"
        "transport = LocalTransport(environment=dict(HOME=sys.argv[1], PATH=sys.argv[2]))\n"
        "sys.stdin.readline()\n"
        "try:\n"
        f"    take_survey(transport, {APP!r}, directory='~/.edgedeploy', owner=new_owner(), break_lock=False)\n"
        "    print('mine', flush=True)\n"
        "except BoardBusyError:\n    print('busy', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    words = [sys.executable, "-c", script, bench.environment["HOME"], bench.environment["PATH"]]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    hosts = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(4)
    ]
    try:
        for host in hosts:
            assert host.stdin
            host.stdin.write("go\n")
            host.stdin.flush()
        answers = [host.stdout.readline().strip() for host in hosts if host.stdout]
    finally:
        for host in hosts:
            host.kill()
            host.communicate()
    assert sorted(answers) == ["busy", "busy", "busy", "mine"]


def test_wrong_clock(bench: Workbench, tmp_path: Path) -> None:
    """A board without a battery begins in 1970 after each start: what was active when is a matter of order alone."""
    clock = tmp_path / "clock"
    clock.mkdir()
    date = clock / "date"
    bench.environment["PATH"] = f"{clock}:{bench.environment['PATH']}"
    bundles = [bench.bundle(f"weights {number}") for number in range(4)]
    for bundle, time_stamp in zip(bundles, ("2031", "2026", "1970", "1970"), strict=True):
        date.write_text(f"#!/bin/sh\necho {time_stamp}-01-01T00:00:00Z\n", encoding="utf-8")
        date.chmod(date.stat().st_mode | stat.S_IXUSR)
        bench.flash(bundle)
    found = status(bench.transport(), APP)
    assert [release.digest for release in found.releases] == [bundle.digest for bundle in reversed(bundles[1:])]
    assert bench.rollback().release == bundles[2].digest
    assert bench.rollback().release == bundles[1].digest
    bench.check_whole()
