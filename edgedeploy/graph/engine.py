"""Runs networks in the engine's Python binding, on the host."""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ncnn
import numpy as np

from edgedeploy.artifacts import FloatArray
from edgedeploy.errors import ConversionError, ShapeMismatchError
from edgedeploy.graph.files import write_graph
from edgedeploy.graph.model import Graph


def engine_version() -> str:
    """Return for example ``ncnn 1.0.20261020``."""
    return f"ncnn {importlib.metadata.version('ncnn')}"


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Which of the engine's options a network is loaded with.

    Args:
        fp16: The engine's half-precision options, as a release with ``fp16`` has them on the board.
        winograd43: The F(4,3) algorithm for 3x3 convolutions.
        packing: Layouts of several channels side by side. Without them the engine's x86 code is slower, but divides
            exactly where it otherwise takes a 12-bit reciprocal (int8 depthwise convolutions), as the board's does.
        threads: Threads of one inference; None leaves the engine's choice (one a core).
    """

    fp16: bool = False
    winograd43: bool = True
    packing: bool = True
    threads: int | None = None


FLOAT_OPTIONS = EngineOptions()


class Engine:
    """One network, loaded; ``run`` may be called many times. int8 layers run in int8.

    Args:
        fp16: True leaves the engine's default half-precision options on, as a release with ``fp16`` does on the board.
        options: All options at once; ``fp16`` is then taken from here.

    Raises:
        ConversionError: The engine refuses the files.
    """

    def __init__(self, param: Path, weights: Path, *, fp16: bool = False, options: EngineOptions | None = None) -> None:
        chosen = options or EngineOptions(fp16=fp16)
        net = ncnn.Net()
        net.opt.use_fp16_packed = chosen.fp16
        net.opt.use_fp16_storage = chosen.fp16
        net.opt.use_fp16_arithmetic = chosen.fp16
        net.opt.use_winograd43_convolution = chosen.winograd43
        net.opt.use_packing_layout = chosen.packing
        if chosen.threads is not None:
            net.opt.num_threads = chosen.threads
        # In light mode the engine frees blobs that it has used, and a later extract of one crashes the process.
        net.opt.lightmode = False
        if net.load_param(str(param)) != 0 or net.load_model(str(weights)) != 0:
            raise ConversionError(f"ncnn refuses {param}", hint="an operator was left unconverted; see docs/convert.md")
        self._net = net

    @classmethod
    def from_graph(cls, graph: Graph, *, options: EngineOptions = FLOAT_OPTIONS) -> Engine:
        """Load a network from memory.

        Args:
            graph: With its weights attached.

        Raises:
            ConversionError: The engine refuses it.
        """
        # The binding's own loaders from memory stop at a zero byte, and weights are full of them.
        with tempfile.TemporaryDirectory() as name:
            param, weights = Path(name) / "network.param", Path(name) / "network.bin"
            write_graph(graph, param, weights)
            return cls(param, weights, options=options)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the input blobs."""
        return tuple(self._net.input_names())

    def run(self, outputs: Sequence[str], tensors: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run one inference.

        Args:
            outputs: Names of blobs, outputs or inner ones. Addressed by name: the engine's own list of outputs has
                another order.
            tensors: Input blob -> float32 with the batch dimension, which is 1.

        Returns:
            Output blob -> float32, without batch; a blob that holds int8 comes as whole numbers.

        Raises:
            ConversionError: An input does not exist, or an output cannot be computed.
        """
        extractor = self.extractor(tensors)
        return {name: self.extract(extractor, name) for name in outputs}

    def extractor(self, tensors: Mapping[str, FloatArray], *, light: bool = False) -> Any:
        """Return the engine's own extractor with its inputs set, for who reads blobs in another way than ``run``.

        Args:
            tensors: As for ``run``.
            light: Blobs are freed once their reader ran. Extracting one after that crashes the process: extract in the
                order in which they are made.

        Raises:
            ConversionError: An input does not exist.
        """
        extractor = self._net.create_extractor()
        extractor.set_light_mode(light)
        known = set(self._net.input_names())
        for name, tensor in tensors.items():
            if name not in known:
                raise ConversionError(f"the network has no input blob {name}", hint="convert the model again")
            if tensor.shape[0] != 1:
                raise ShapeMismatchError(
                    f"input {name} has batch {tensor.shape[0]}; the engine runs one at a time", hint="use batch 1"
                )
            # Mat borrows the array's memory, and clone() reads it: the array has to live in a variable until then.
            values = np.ascontiguousarray(tensor[0], dtype=np.float32)
            extractor.input(name, ncnn.Mat(values).clone())
        return extractor

    @staticmethod
    def extract(extractor: Any, name: str) -> FloatArray:
        """Return a blob of an ``extractor``: float32, without batch.

        Raises:
            ConversionError: It cannot be computed.
        """
        status, mat = extractor.extract(name)
        if status != 0:
            raise ConversionError(f"ncnn cannot compute output {name} (status {status})", hint="see docs/convert.md")
        # The copy outlives the engine's buffer.
        return np.array(mat, dtype=np.float32, copy=True)
