#!/usr/bin/env python3
"""What the int8 operators cost against stock ncnn and PyTorch, by the cycle estimate.

    python benchmarks/operators.py [--json] [--core CORE ...] [--only NET ...] [--jobs N] [--keep DIR] [--torch]

Rows: {"net", "core", "ours", "stock", "ratio", "limit", "bound", "float_stock", "torch", "two_threads": {"ours",
"stock"}}, in cycles an inference, one thread. ``limit`` is the ratio to reach, ``bound`` what the products alone take
at the core's rate (32 or 8 a cycle), ``float_stock`` the same net in float on stock ncnn, in half precision where the
core computes in it, ``torch`` in float32 in PyTorch (null without --torch, which fetches its wheel: see
benchmarks/torch_cycles.py). ``two_threads`` are those of the busier of two threads, layer by layer. Estimates;
docs/cycles.md says by what.

Three counts a row, and one more with --torch: a minute or two each. --keep DIR keeps each count's document, by the
sources that it was made of, so that what an interrupted run has counted is not counted again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from edgedeploy.build.cache import tree_digest
from edgedeploy.paths import resource_dir

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
NETS = tuple(dict.fromkeys(net for net, _ in LIMITS))

_TORCH_PROGRAM = Path(__file__).with_name("torch_cycles.py")
_DIGEST_DIGITS = 16


@dataclass(frozen=True, kw_only=True)
class TwoThreads:
    """Cycles of the busier of two threads in each layer, added up."""

    ours: int
    stock: int


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
    torch: int | None
    two_threads: TwoThreads


class Counts:
    """Runs commands that print a document, each once, and says on stderr how far it is.

    Args:
        total: How many will be asked for.
        keep: Where documents of earlier runs lie; None: nowhere.
    """

    def __init__(self, total: int, keep: Path | None) -> None:
        self._total = total
        self._done = 0
        self._lock = Lock()
        # Of another state of the sources, a kept document says nothing.
        self._keep = keep / sources_digest() if keep is not None else None

    def document(self, name: str, command: list[str]) -> dict[str, Any]:
        """Return what a command prints.

        Args:
            name: Of the file that it is kept in.
        """
        kept = self._keep / f"{name}.json" if self._keep is not None else None
        start = time.monotonic()
        text = kept.read_text(encoding="utf-8") if kept is not None and kept.exists() else None
        if text is None:
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
            if answer.returncode != 0:
                raise SystemExit(f"{' '.join(command)}\n{answer.stderr}")
            text = answer.stdout
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_text(text, encoding="utf-8")
        with self._lock:
            self._done += 1
            print(f"{self._done}/{self._total} {name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
        document: dict[str, Any] = json.loads(text)
        return document


def sources_digest() -> str:
    """Return a hash over what the counts depend on: the program's sources and the driver's."""
    root = resource_dir()
    package = Path(sys.modules["edgedeploy"].__file__ or "").parent
    return f"{tree_digest(root / 'csrc')[:_DIGEST_DIGITS]}-{tree_digest(package / 'cycles')[:_DIGEST_DIGITS]}"


def cycles_command(net: str, core: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "edgedeploy", "cycles", "--model", net, "--core", core, *options, "--json"]


def row_for(net: str, core: str, counts: Counts, *, with_torch: bool) -> Row:
    """Count all columns of a row."""
    name = f"{net}-{core}"
    int8 = counts.document(f"{name}-int8", cycles_command(net, core, "--int8", "--against", "stock"))
    two = ("--int8", "--against", "stock", "--threads", "2")
    threaded = counts.document(f"{name}-int8-two", cycles_command(net, core, *two))
    floating = counts.document(f"{name}-float-stock", cycles_command(net, core, "--against", "stock"))
    return Row(
        net=net,
        core=core,
        ours=int8["ours"]["cycles"],
        stock=int8["stock"]["cycles"],
        ratio=round(int8["ratio"], 3),
        limit=LIMITS[net, core],
        bound=int8["ours"]["macs"] / MACS_A_CYCLE[core],
        float_stock=floating["stock"]["cycles"],
        torch=torch_cycles(net, core, counts) if with_torch else None,
        two_threads=TwoThreads(ours=threaded["ours"]["span_cycles"], stock=threaded["stock"]["span_cycles"]),
    )


def torch_cycles(net: str, core: str, counts: Counts) -> int:
    command = [sys.executable, str(_TORCH_PROGRAM), "--only", net, "--core", core, "--json"]
    (row,) = counts.document(f"{net}-{core}-torch", command)["rows"]
    cycles: int = row["cycles"]
    return cycles


def table(rows: list[Row]) -> str:
    heads = ("ours", "stock", "bound", "float", "torch", "ours x2", "stock x2")
    lines = [f"{'net':13}{'core':11}{'ratio':>6}{'limit':>6}" + "".join(f"{head:>9}" for head in heads)]
    for row in rows:
        cycles = (row.ours, row.stock, row.bound, row.float_stock, row.torch)
        cells = "".join(_millions(value) for value in (*cycles, row.two_threads.ours, row.two_threads.stock))
        lines.append(f"{row.net:13}{row.core:11}{row.ratio:6.2f}{row.limit:6.2f}{cells}")
    return "\n".join(lines)


def _millions(value: float | None) -> str:
    return f"{'-':>9}" if value is None else f"{value / 1e6:8.1f}M"


def all_rows(wanted: list[tuple[str, str]], jobs: int, make: Callable[[tuple[str, str]], Row]) -> list[Row]:
    """Return the rows in their order. A net's cores come one after the other, so its model is built once."""
    with ThreadPoolExecutor(jobs) as pool:
        by_net = [[key for key in wanted if key[0] == net] for net in dict.fromkeys(net for net, _ in wanted)]
        return [row for rows in pool.map(lambda keys: [make(key) for key in keys], by_net) for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--core", nargs="*", default=list(MACS_A_CYCLE), choices=list(MACS_A_CYCLE))
    parser.add_argument("--only", nargs="*", default=list(NETS), choices=list(NETS))
    parser.add_argument("--jobs", type=int, default=1, help="Nets counted side by side: a core and 1 GiB each.")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--torch", action="store_true")
    arguments = parser.parse_args()
    wanted = [key for key in LIMITS if key[0] in arguments.only and key[1] in arguments.core]
    counts = Counts(len(wanted) * (4 if arguments.torch else 3), arguments.keep)
    rows = all_rows(wanted, arguments.jobs, lambda key: row_for(*key, counts, with_torch=arguments.torch))
    print(json.dumps({"rows": [asdict(row) for row in rows]}, indent=2) if arguments.json else table(rows))


if __name__ == "__main__":
    main()
