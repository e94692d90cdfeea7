"""The process that ``engine.probe_in_child`` starts: one inference, arrays in and out by ``.npz`` files."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from edgedeploy.errors import EdgedeployError
from edgedeploy.graph.engine import Engine


def main(arguments: list[str]) -> int:
    """Run ``PARAM BIN INPUTS.npz OUTPUTS.npz OUTPUT...``."""
    param, weights, fed, answers = (Path(item) for item in arguments[:4])
    with np.load(fed) as stored:
        tensors = {key: stored[key] for key in stored.files}
    try:
        found = Engine(param, weights).run(arguments[4:], tensors)
    except EdgedeployError as error:
        sys.stderr.write(error.message + "\n")
        return 1
    with answers.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
