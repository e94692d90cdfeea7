"""What calibration costs: its time against plain float forwards of the same network, and its memory.

    python benchmarks/int8_calibration_time.py [--json] [--net NAME ...] [--images N] [--repeats N] [--prepare]

Calibration reads images from JPEG or PNG files, preprocesses them, runs the network, takes ranges and histograms and
chooses thresholds. ``ratio`` holds that against forwards of tensors that lie in memory already, both with the engine's
default threads, by turns, the fastest of the repetitions of each; it is that of the first network measured. Exit
status 1 where it is above the limit. Measure on a machine that does nothing else: the engine's threads wait for each
other in a loop, so that forwards suffer most.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from calibration_child import ENGINE_INPUT, IMAGES, INPUTS, PARAM, WEIGHTS
from edgedeploy.artifacts import ColorOrder, InputSpec, Preprocessing, Resize
from edgedeploy.cli.console import ConsoleProgress, print_json, stdout
from edgedeploy.graph import Graph, write_graph
from edgedeploy.preprocessing import read_image
from int8_nets.imagenet import ImageNetNet, calibration_crops, imagenet_graph
from int8_nets.labelled import MEAN, SCALE, digits
from int8_nets.photos import CALIBRATION_SEED, SIDE, Half, calibrating_photos, photo_files, random_crop
from int8_nets.small_graphs import DIGITS_PLAN, small_graph
from int8_nets.small_nets import SmallNet

LIMIT = 1.5
MEMORY_IMAGES = (50, 300, 1000)

Image = NDArray[np.uint8]
Maker = Callable[[int], Image]


@dataclass(frozen=True, kw_only=True)
class Net:
    """A network that is measured.

    Args:
        graph: Makes it.
        preprocessing: Of its input.
        shape: Of its input.
        images: Makes what makes the picture of a number.
        suffix: Of the files that pictures are kept in.
    """

    name: str
    graph: Callable[[], Graph]
    preprocessing: Preprocessing
    shape: tuple[int, ...]
    images: Callable[[], Maker]
    suffix: str

    def write(self, directory: Path, count: int) -> None:
        """Write the network and pictures for the measuring process."""
        write_graph(self.graph(), directory / PARAM, directory / WEIGHTS)
        inputs = (InputSpec(name=ENGINE_INPUT, shape=self.shape, preprocessing=self.preprocessing),)
        (directory / INPUTS).write_bytes(pickle.dumps(inputs))
        (directory / IMAGES).mkdir()
        make = self.images()
        for number in range(count):
            cv2.imwrite(str(directory / IMAGES / f"{number:04}{self.suffix}"), make(number))


def _photo_crops() -> Maker:
    photos = [read_image(path) for path in photo_files(calibrating_photos(Half.SECOND))]

    def crop(number: int) -> Image:
        return random_crop(photos[number % len(photos)], np.random.default_rng((CALIBRATION_SEED, number)))

    return crop


def _digits() -> Maker:
    pixels = digits().train.pixels
    return lambda number: pixels[number]


NETS = (
    Net(
        name="mobilenetv2",
        graph=lambda: imagenet_graph(ImageNetNet.MOBILENETV2),
        preprocessing=calibration_crops(ImageNetNet.MOBILENETV2, count=1).preprocessing,
        shape=(1, 3, SIDE, SIDE),
        images=_photo_crops,
        suffix=".jpg",
    ),
    Net(
        name="digits-mobilenetv3",
        graph=lambda: small_graph(SmallNet.MOBILENETV3, digits(), DIGITS_PLAN),
        preprocessing=Preprocessing(color=ColorOrder.GRAY, resize=Resize.BILINEAR, mean=(MEAN,), scale=(SCALE,)),
        shape=(1, 1, 28, 28),
        images=_digits,
        suffix=".png",
    ),
)
"""The first is the one that the limit is for and that memory is measured with; the other shows the fixed costs."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One network's times of all images: the fastest repetition of each side."""

    name: str
    images: int
    forward_s: float
    loading_forward_s: float
    calibration_s: float
    prepare_s: float | None

    @property
    def ratio(self) -> float:
        """Of calibration, which reads its images, to forwards of tensors in memory."""
        return self.calibration_s / self.forward_s

    def to_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "ratio": self.ratio,
            "ratio_to_loading_forward": self.calibration_s / self.loading_forward_s,
            "prepare_ratio": self.prepare_s / self.forward_s if self.prepare_s else None,
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit status."""
    options = _parser().parse_args(arguments)
    nets = [net for net in NETS if not options.net or net.name in options.net]
    measured: list[Measured] = []
    peaks: dict[str, int] = {}
    progress = ConsoleProgress()
    for net in nets:
        with TemporaryDirectory() as name, progress.task(f"Measuring {net.name}"):
            directory = Path(name)
            with_memory = net is NETS[0] and not options.no_memory
            net.write(directory, max([options.images, *(MEMORY_IMAGES if with_memory else ())]))
            measured.append(_times(net, directory, options))
            if with_memory:
                peaks = {str(count): _measure(directory, "memory", count)["peak_bytes"] for count in MEMORY_IMAGES}
    ratio = measured[0].ratio
    if options.json:
        document = {"ratio": ratio, "limit": LIMIT, "peak_memory_bytes": peaks, "cores": os.cpu_count()}
        print_json({**document, "load_average": os.getloadavg()[0], "nets": [item.to_json() for item in measured]})
    else:
        stdout.print(_table(measured))
        for count, size_bytes in peaks.items():
            stdout.print(f"{count} images: {size_bytes / 1e6:.1f} MB at the peak")
    return int(ratio > LIMIT)


def _times(net: Net, directory: Path, options: argparse.Namespace) -> Measured:
    more = ["--repeats", str(options.repeats), *(["--prepare"] if options.prepare else [])]
    found = _measure(directory, "times", options.images, *more)
    return Measured(
        name=net.name,
        images=options.images,
        forward_s=min(found["forward_s"]),
        loading_forward_s=min(found["loading_forward_s"]),
        calibration_s=min(found["calibration_s"]),
        prepare_s=found.get("prepare_s"),
    )


def _measure(directory: Path, what: str, images: int, *more: str) -> dict[str, Any]:
    """Run the measuring process and return what it printed."""
    child = Path(__file__).with_name("calibration_child.py")
    command = [sys.executable, str(child), str(directory), what, "--images", str(images), *more]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _table(measured: Sequence[Measured]) -> Table:
    table = Table(title=f"Calibration with {measured[0].images} images, seconds")
    for heading in ("network", "forwards", "with loading", "calibration", "ratio", "whole preparation"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for item in measured:
        seconds = (item.forward_s, item.loading_forward_s, item.calibration_s)
        prepare = f"{item.prepare_s:.1f}" if item.prepare_s else "-"
        table.add_row(item.name, *(f"{value:.3f}" for value in seconds), f"{item.ratio:.2f}", prepare)
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--net", nargs="+", choices=[net.name for net in NETS], help="only these")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5, help="of each side")
    parser.add_argument("--prepare", action="store_true", help="also time the whole preparation, once")
    parser.add_argument("--no-memory", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
