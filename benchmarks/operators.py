#!/usr/bin/env python3
"""What the int8 operators cost against stock ncnn, by the cycle estimate: both sides counted in one go.

    python benchmarks/operators.py [--json] [--core CORE ...] [--only NET ...]

Rows: {"net", "core", "ours", "stock", "ratio", "limit", "bound", "float_stock"}, in cycles an inference, one thread.
``limit`` is the ratio to reach, ``bound`` what the products alone take at the core's rate (32 or 8 a cycle),
``float_stock`` the same net in float on stock ncnn, in half precision where the core computes in it. Estimates;
docs/cycles.md says by what.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any

MACS_A_CYCLE = {"cortex-a76": 32, "cortex-a72": 8}

LIMITS = {
    ("mobilenet_v1", "cortex-a76"): 0.70,
    ("mobilenet_v1", "cortex-a72"): 0.88,
    ("mobilenet_v2", "cortex-a76"): 0.33,
    ("mobilenet_v2", "cortex-a72"): 0.43,
    ("resnet18", "cortex-a76"): 0.78,
    ("resnet18", "cortex-a72"): 0.85,
    ("squeezenet", "cortex-a76"): 0.62,
    ("squeezenet", "cortex-a72"): 1.00,
    ("ppocr_det", "cortex-a76"): 0.75,
    ("ppocr_det", "cortex-a72"): 0.85,
    ("ppocr_rec", "cortex-a76"): 0.75,
    ("ppocr_rec", "cortex-a72"): 0.85,
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One net on one core, in cycles an inference."""

    net: str
    core: str
    ours: int
    stock: int
    ratio: float
    limit: float
    bound: float
    float_stock: int


def count(net: str, core: str, *options: str) -> dict[str, Any]:
    """Run the command and return its document."""
    command = [sys.executable, "-m", "edgedeploy", "cycles", "--model", net, "--core", core, *options, "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{answer.stderr}")
    document: dict[str, Any] = json.loads(answer.stdout)
    return document


def row_for(net: str, core: str, limit: float) -> Row:
    int8 = count(net, core, "--int8", "--against", "stock")
    # The float net has no layer of ours: its two sides are the same program.
    floating = count(net, core, "--against", "stock")
    return Row(
        net=net,
        core=core,
        ours=int8["ours"]["cycles"],
        stock=int8["stock"]["cycles"],
        ratio=round(int8["ratio"], 3),
        limit=limit,
        bound=int8["ours"]["macs"] / MACS_A_CYCLE[core],
        float_stock=floating["stock"]["cycles"],
    )


def table(rows: list[Row]) -> str:
    lines = [f"{'net':13}{'core':12}{'ours':>9}{'stock':>9}{'ratio':>7}{'limit':>7}{'bound':>9}{'float':>9}"]
    for row in rows:
        cycles = "".join(f"{value / 1e6:8.1f}M" for value in (row.ours, row.stock))
        ends = "".join(f"{value / 1e6:8.1f}M" for value in (row.bound, row.float_stock))
        lines.append(f"{row.net:13}{row.core:12}{cycles}{row.ratio:7.2f}{row.limit:7.2f}{ends}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--core", nargs="*", default=list(MACS_A_CYCLE), choices=list(MACS_A_CYCLE))
    parser.add_argument("--only", nargs="*", default=sorted({net for net, _ in LIMITS}))
    arguments = parser.parse_args()
    rows = [
        row_for(net, core, limit)
        for (net, core), limit in LIMITS.items()
        if core in arguments.core and net in arguments.only
    ]
    print(json.dumps({"rows": [asdict(row) for row in rows]}, indent=2) if arguments.json else table(rows))


if __name__ == "__main__":
    main()
