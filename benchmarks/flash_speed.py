#!/usr/bin/env python3
"""Times flashes of the demo's release against rsync -az and scp of the same files to the same twin, and counts bytes.

    python benchmarks/flash_speed.py [--rounds N] [--json]

Needs rsync on this machine (apt-get install rsync); Debian's rsync for arm64 is put on the twin. Each round, on an
empty board and in changing order: a first flash; one of a release whose weights differ in one layer; one whose weights
differ throughout; that one again. rsync mirrors the release's files onto what its last run left, scp copies them all.
Bytes are what passes a relay on loopback, in both directions, connection included. Medians of the rounds. Ends with 1
where edgedeploy's seconds or bytes are more than rsync's.

``seconds`` and ``bytes`` of edgedeploy: connecting, inspecting, sending, verifying; by then it has also hashed every
file on the board and synced it. ``probed_seconds`` adds probing the board, ``whole_*`` the golden self-test, activation
and clean-up as well, which rsync and scp have no part like. ``processor_seconds``: of the twin's QEMU and this side, in
the same span as ``seconds``; on a busy machine they say more. Process start of rsync and scp (some 10 ms) counts,
Python's does not.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from edgedeploy.artifacts import Bundle
from edgedeploy.emulate import twin
from edgedeploy.emulate.machine import TwinSpec
from edgedeploy.paths import STATE_VARIABLE
from edgedeploy.transport.ssh import connect
from flash_speeds.contenders import CONNECT_DEADLINE_S, Measured, Programs, by_edgedeploy, install_rsync, through
from flash_speeds.counting import counted
from flash_speeds.releases import BOARD, LAYER, demo_release, unfold, with_changed_weights

SPEC = TwinSpec(board=BOARD, cpu="cortex-a72", vcpus=2, memory_mib=1024)
ROUNDS = 3
BOOT_DEADLINE_S = 600.0
FIGURES = (
    "seconds",
    "bytes",
    "processor_seconds",
    "probed_seconds",
    "whole_seconds",
    "whole_bytes",
    "round_trips",
)
# rsync and scp have the same.
COMPARED = FIGURES[:-1]
LIMITED = ("seconds / rsync", "bytes / rsync")


def measure(rounds: int, directory: Path) -> dict[str, dict[str, list[Measured]]]:
    """Return what each contender took in each scenario, a figure a round."""
    first = demo_release(directory)
    releases: dict[str, Bundle] = {
        "first": first,
        "one layer": with_changed_weights(first, directory / "layer", LAYER, 1),
        "all weights": with_changed_weights(first, directory / "weights", slice(None), 2),
    }
    releases["no change"] = releases["all weights"]
    trees = {name: unfold(bundle, directory / f"tree {name}") for name, bundle in releases.items()}
    taken: dict[str, dict[str, list[Measured]]] = {name: {} for name in releases}
    with (
        twin.running(SPEC, name="flash-speed", fresh=True, deadline_s=BOOT_DEADLINE_S) as running,
        counted(running.ssh.port) as link,
    ):
        endpoint = through(running.ssh, link, directory)
        with connect(running.ssh, deadline_s=CONNECT_DEADLINE_S) as transport:
            programs = Programs(endpoint=endpoint, link=link, twin_pid=running.pid, rsync_path=install_rsync(transport))
            for number in range(rounds):
                transport.run("rm -rf .edgedeploy by-*; mkdir by-scp; sync", deadline_s=CONNECT_DEADLINE_S)
                for name, bundle in releases.items():
                    contenders: list[tuple[str, Callable[[], Measured]]] = [
                        ("edgedeploy", lambda bundle=bundle: by_edgedeploy(bundle, endpoint, link, running.pid)),
                        ("rsync", lambda name=name: programs.rsync(trees[name])),
                        ("scp", lambda name=name: programs.scp(trees[name])),
                    ]
                    for contender, run in contenders[number % 3 :] + contenders[: number % 3]:
                        taken[name].setdefault(contender, []).append(run())
                        print(name, contender, taken[name][contender][-1], file=sys.stderr, flush=True)
    return taken


def medians(taken: dict[str, dict[str, list[Measured]]]) -> dict[str, dict[str, Any]]:
    """Return the medians, and edgedeploy's share of what the others took."""
    document: dict[str, dict[str, Any]] = {}
    for name, contenders in taken.items():
        found = {
            contender: {figure: _median(getattr(item, figure) for item in runs) for figure in FIGURES}
            for contender, runs in contenders.items()
        }
        ratios = {
            f"{figure} / {other}": round(found["edgedeploy"][figure] / found[other][figure], 3)
            for other in ("rsync", "scp")
            for figure in COMPARED
        }
        document[name] = {**found, "ratios": ratios}
    return document


def beyond(document: dict[str, dict[str, Any]]) -> list[str]:
    """Return where edgedeploy took more seconds or bytes than rsync."""
    return [
        f"{name}: {found['ratios'][ratio]} of {ratio}"
        for name, found in document.items()
        for ratio in LIMITED
        if found["ratios"][ratio] > 1.0
    ]


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.median(known), 3) if known else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if shutil.which("rsync") is None:
        parser.error("rsync is missing: sudo apt-get install -y rsync")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ[STATE_VARIABLE] = f"{scratch}/state"
        document = medians(measure(arguments.rounds, Path(scratch)))
    if arguments.json:
        print(json.dumps(document))
    else:
        _show(document)
    if faults := beyond(document):
        sys.exit("\n".join(faults))


def _show(document: dict[str, dict[str, Any]]) -> None:
    for name, found in document.items():
        for contender in ("edgedeploy", "rsync", "scp"):
            figures = found[contender]
            print(f"{name:12} {contender:10} {figures['seconds']:6.2f} s {figures['bytes']:12,.0f} bytes")
        print(f"{name:12} {'ratios':10} {found['ratios']}")


if __name__ == "__main__":
    main()
