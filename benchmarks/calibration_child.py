"""One measurement of calibration in a process of its own: times, or the memory at its peak.

    python benchmarks/calibration_child.py DIRECTORY (times | memory) --images N [--repeats N] [--prepare]

The directory holds a network, its images and what its input is, as ``int8_calibration_time.py`` writes them. Nothing is
imported here that the command itself does not import: no training framework weighs on the memory.
"""

from __future__ import annotations

import argparse
import json
import pickle
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.artifacts import InputSpec
from edgedeploy.graph import Graph, read_graph
from edgedeploy.graph.engine import FLOAT_OPTIONS, Engine
from edgedeploy.graph.passes import run_passes
from edgedeploy.quantize.calibration_data import choose_indices, open_data
from edgedeploy.quantize.calibrators import threshold
from edgedeploy.quantize.candidates import find_candidates
from edgedeploy.quantize.chains import find_chains
from edgedeploy.quantize.items import Data
from edgedeploy.quantize.settings import Calibrator, Target
from edgedeploy.quantize.statistics import collect_statistics

PARAM, WEIGHTS, INPUTS, IMAGES = "net.param", "net.bin", "inputs.pickle", "images"
ENGINE_INPUT = "in0"

_KIB = 1024
_WARM_UP = 10


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is measured: a float network after its passes, and data."""

    source: Graph
    graph: Graph
    data: Data
    indices: tuple[int, ...]

    @classmethod
    def read(cls, directory: Path, images: int) -> Subject:
        """Read what the parent wrote."""
        source = read_graph(directory / PARAM, directory / WEIGHTS)
        inputs: tuple[InputSpec, ...] = pickle.loads((directory / INPUTS).read_bytes())
        data = open_data(directory / IMAGES, inputs, (ENGINE_INPUT,))
        graph, _ = run_passes(source, None)
        return cls(source=source, graph=graph, data=data, indices=choose_indices(len(data), images, seed=0))

    def calibrate(self) -> dict[str, float]:
        """Take the statistics of everything that int8 layers read, and choose every threshold."""
        sources = find_chains(self.graph, find_candidates(self.graph).static).sources
        blobs = tuple(dict.fromkeys(sources.values()))
        found = collect_statistics(self.graph, blobs, self.data, self.indices)
        return {blob: threshold(statistics, Calibrator.MSE) for blob, statistics in found.items()}


def main() -> int:
    """Measure, and print one JSON document."""
    options = _parser().parse_args()
    subject = Subject.read(options.directory, options.images)
    found = times(subject, options.repeats, options.prepare) if options.what == "times" else memory(subject)
    json.dump(found, sys.stdout)
    return 0


def times(subject: Subject, repeats: int, with_prepare: bool) -> dict[str, object]:
    """Run the sides by turns.

    Returns:
        Seconds of each repetition: ``forward_s`` plain runs of tensors in memory, ``loading_forward_s`` the same with
        images read and preprocessed, ``calibration_s`` (which reads and preprocesses too); ``prepare_s`` of one.
    """
    engine = Engine.from_graph(subject.graph, options=FLOAT_OPTIONS)
    tensors = [subject.data.item(index).tensors for index in subject.indices]
    outputs = subject.graph.outputs

    def forward() -> None:
        for item in tensors:
            engine.run(outputs, item)

    def loading_forward() -> None:
        for index in subject.indices:
            engine.run(outputs, subject.data.item(index).tensors)

    for item in tensors[:_WARM_UP]:
        engine.run(outputs, item)
    sides: dict[str, Callable[[], object]] = {
        "forward_s": forward,
        "calibration_s": subject.calibrate,
        "loading_forward_s": loading_forward,
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, side in sides.items():
            seconds[name].append(_seconds(side))
    found: dict[str, object] = dict(seconds)
    if with_prepare:
        from edgedeploy.quantize.pipeline import prepare  # noqa: PLC0415  (the memory of calibration is without it)

        target = Target(name="benchmark", dotprod=True)
        found["prepare_s"] = _seconds(lambda: prepare(subject.source, subject.data, target=target))
    return found


def memory(subject: Subject) -> dict[str, object]:
    """Calibrate once.

    Returns:
        ``before_bytes`` and ``peak_bytes``: the largest resident set of this process, plus that of its largest child.
    """
    before = _peak_bytes()
    subject.calibrate()
    return {"before_bytes": before, "peak_bytes": _peak_bytes()}


def _seconds(side: Callable[[], object]) -> float:
    start = time.perf_counter()
    side()
    return time.perf_counter() - start


def _peak_bytes() -> int:
    # Not getrusage's own figure: that starts with the peak of the process that forked this one.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    own = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (int(own.split()[1]) + children) * _KIB


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("what", choices=("times", "memory"))
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--prepare", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
