#!/usr/bin/env python3
"""Counts the engine's benchmark networks with simulated caches: what benchmarks/miss_prices.py fits prices on.

    python benchmarks/miss_counts.py --models DIR --counts FILE [--board NAME ...] [--net NAME ...]

DIR holds the ``.param`` files of the engine's own benchmark (``benchmark/models`` of its source). As that benchmark
does, weights are zeros: what runs does not depend on them. Only the engine's layers are counted, on one thread. FILE
keeps the counts, a line of JSON a board and network; what is in it is not counted again. Networks that cannot be
read, or run without weights, are left out and named.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edgedeploy.artifacts import Precision
from edgedeploy.boards.load import load_board
from edgedeploy.build.plugin import build_plugin
from edgedeploy.cli import counting
from edgedeploy.cli.console import ConsoleProgress
from edgedeploy.cli.countable import Countable, of_model
from edgedeploy.cycles.emulated import find_qemu
from edgedeploy.cycles.llvm import find_llvm
from edgedeploy.errors import EdgedeployError
from edgedeploy.graph import parse_param
from edgedeploy.graph.layouts import Load, layout_of

BOARDS = ("rk3399", "rpi5")
_FLOAT_BYTES = 4
_TAG_BYTES = 4


def zero_weights(param: str) -> bytes:
    """Return the ``.bin`` of a network whose weights are all zero, in float32."""
    size = 0
    for layer in parse_param(param).layers:
        for slot in layout_of(layer):
            if slot.load is Load.BYTES:
                raise SystemExit(f"{layer.name}: weights of {slot.load.value} cannot be made of zeros")
            size += prod(slot.shape) * _FLOAT_BYTES + (_TAG_BYTES if slot.load is Load.TAGGED else 0)
    return bytes(size)


@contextmanager
def zeroed(param: Path, progress: ConsoleProgress) -> Iterator[Countable]:
    """Give a release of a network with zeros for weights."""
    with TemporaryDirectory(prefix="edgedeploy-") as scratch:
        copy = Path(scratch) / param.name
        copy.write_text(param.read_text(encoding="utf-8"), encoding="utf-8")
        copy.with_suffix(".bin").write_bytes(zero_weights(copy.read_text(encoding="utf-8")))
        with of_model(str(copy), {}, int8=False, precision=Precision.FP16, progress=progress) as countable:
            yield countable


def count(countable: Countable, board_name: str, progress: ConsoleProgress) -> dict[str, Any]:
    """Return ``{"board", "core", "net", "cycles", "instructions", "memory": {...}}`` of the engine's own layers."""
    board = load_board(board_name, project_dir=Path.cwd())
    core = counting.core_of(None, board)
    wish = counting.Wish(
        core=core, threads=1, stock=True, earlier=None, caches=counting.caches_of(core, board), command=""
    )
    counter = counting.Counter(
        countable=countable,
        wish=wish,
        qemu=find_qemu(),
        llvm=find_llvm(),
        plugin=build_plugin(progress=progress),
        progress=progress,
    )
    side = counter.side(counting.STOCK, disable_layers=True)
    assert side.memory is not None
    return {
        "board": board_name,
        "core": core.name,
        "net": countable.name,
        "cycles": side.cycles,
        "int8_cycles": sum(layer.cycles or 0 for layer in side.layers if layer.precision == "int8"),
        "instructions": side.instructions,
        "memory": side.memory.model_dump(),
    }


def read_counts(file: Path) -> list[dict[str, Any]]:
    """Return the lines of a file of counts; none where there is no file."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--counts", type=Path, required=True)
    parser.add_argument("--board", nargs="*", default=list(BOARDS))
    parser.add_argument("--net", nargs="*")
    arguments = parser.parse_args()
    progress = ConsoleProgress()
    nets = arguments.net or sorted(file.stem for file in arguments.models.glob("*.param"))
    if len(nets) > 1:
        for net in nets:
            left_out(net, ["--models", str(arguments.models), "--counts", str(arguments.counts)], arguments.board)
        return
    done = {(entry["board"], entry["net"]) for entry in read_counts(arguments.counts)}
    boards = [board for board in arguments.board if (board, nets[0]) not in done]
    if not boards:
        return
    try:
        with zeroed(arguments.models / f"{nets[0]}.param", progress) as countable:
            for board in boards:
                entry = count(countable, board, progress)
                with arguments.counts.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(entry) + "\n")
    except EdgedeployError as error:
        raise SystemExit(str(error)) from None


def left_out(net: str, files: list[str], boards: list[str]) -> bool:
    """Count a network in a process of its own, since the engine crashes on some without weights; say if it failed."""
    command = [sys.executable, str(Path(__file__).absolute()), *files, "--board", *boards, "--net", net]
    done = subprocess.run(command, check=False)
    if done.returncode != 0:
        print(f"{net} is left out (status {done.returncode})", file=sys.stderr)
    return done.returncode != 0


if __name__ == "__main__":
    main()
