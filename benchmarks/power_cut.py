#!/usr/bin/env python3
"""Cuts a twin's power at points spread over a flash, and counts what the board is after it starts again.

    python benchmarks/power_cut.py [--points N] [--first] [--json]

Prints {"points", "whole", "old", "new"}. ``whole``: the active release is the old or the new one, every file of it has
its hash, its golden self-test passes, and the same flash then goes through. ``old`` and ``new``: which one was active.
With ``--first`` each flash is the first one of an empty board: ``old`` means that nothing is active. Ends with status 1
unless all are whole. Two twins side by side, 10 s of processor time a point; docs/flash.md says how the power is cut.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from edgedeploy.paths import STATE_VARIABLE
from power_cuts.harness import Outcome, cut_flashes

POINTS = 200


def tally(outcomes: tuple[Outcome, ...]) -> dict[str, int]:
    """Return the counts."""
    return {
        "points": len(outcomes),
        "whole": sum(not item.problems for item in outcomes),
        "old": sum(item.active == "old" for item in outcomes),
        "new": sum(item.active == "new" for item in outcomes),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=POINTS)
    parser.add_argument("--first", action="store_true", help="flash to an empty board each time")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ[STATE_VARIABLE] = f"{scratch}/state"
        outcomes = cut_flashes(
            arguments.points,
            Path(scratch),
            lambda text: print(text, file=sys.stderr, flush=True),
            first=arguments.first,
        )
    counts = tally(outcomes)
    print(json.dumps(counts) if arguments.json else "  ".join(f"{key} {value}" for key, value in counts.items()))
    if counts["whole"] != counts["points"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
