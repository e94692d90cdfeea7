"""Trains the small networks of the int8 benchmark on Fashion-MNIST, or on digits, and says how good they are.

    python benchmarks/train_nets.py [--data fashion|digits] [--net NAME ...]

The weights are kept in the cache, under a name that changes with the training code, the data and the plan; who needs
them trains them where they are missing. Fashion-MNIST comes with Debian's package dataset-fashion-mnist.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import torch
from torch import nn

from edgedeploy.cli.console import ConsoleProgress, print_error, stdout
from edgedeploy.errors import EdgedeployError
from int8_nets.labelled import LabelledImages, digits, fashion_mnist, normalise
from int8_nets.small_graphs import DIGITS_PLAN, FASHION_PLAN
from int8_nets.small_nets import SmallNet
from int8_nets.training import trained_net

_BATCH = 500


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the networks asked for; return the exit status."""
    options = _parser().parse_args(arguments)
    progress = ConsoleProgress()
    try:
        fashion = options.data == "fashion"
        split = fashion_mnist() if fashion else digits(progress=progress)
        for which in options.net or list(SmallNet):
            plan = FASHION_PLAN if fashion else DIGITS_PLAN
            net = trained_net(which, split.train, plan, progress=progress)
            stdout.print(
                f"{which.value}: top-1 {top1(net, split.test):.2f} on {len(split.test)} test images, "
                f"{top1(net, split.held_out):.2f} on {len(split.held_out)} held out"
            )
    except EdgedeployError as error:
        print_error(error, as_json=False)
        return error.exit_code
    return 0


def top1(net: nn.Module, images: LabelledImages) -> float:
    """Return how often the largest output is the label's, in points."""
    hits = 0
    with torch.no_grad():
        for start in range(0, len(images), _BATCH):
            part = images.part(start, start + _BATCH)
            found = net(torch.from_numpy(normalise(part.pixels))).argmax(1).numpy()
            hits += int((found == part.labels).sum())
    return 100.0 * hits / len(images)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train the small networks of the int8 benchmark.")
    parser.add_argument("--data", choices=["fashion", "digits"], default="fashion")
    parser.add_argument(
        "--net", nargs="+", action="extend", type=SmallNet, metavar="NAME",
        help=f"which ones, of {', '.join(net.value for net in SmallNet)} (default: all)",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
