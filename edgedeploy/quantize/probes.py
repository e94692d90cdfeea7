"""Has the engine itself take the range of every blob, so that looking at a network costs little more than running it.

Every blob wanted gets a Split, a global maximum pooling of itself and, where it can be negative, one of its negation.
All of them end in one vector, the only thing that leaves the engine for the ranges. What a maximum does not show, a
NaN, the mean does: it is taken where a layer can make one of finite inputs.

The values for histograms are read where they lie in the engine's memory: all channels of every so many positions.
Blobs that are neither vectors nor images, of which networks have few, are read whole.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import ncnn
import numpy as np
from numpy.typing import NDArray

from edgedeploy.artifacts import FloatArray
from edgedeploy.errors import ConversionError, ShapeMismatchError
from edgedeploy.graph.engine import Engine, EngineOptions
from edgedeploy.graph.model import Graph
from edgedeploy.graph.passes.ranks import ranks_of
from edgedeploy.quantize.probe_graph import IMAGE, VECTOR, with_input_sizes, with_probes

_STEP_PRIME = 7919


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One item.

    Args:
        ranges: float32, the vector that places refer to.
        samples: Blob -> float32 values, one dimension.
        whole: Blob -> float32, the blobs that are read whole.
    """

    ranges: FloatArray
    samples: dict[str, FloatArray]
    whole: dict[str, FloatArray]


class ProbedNetwork:
    """A network that shows its blobs. Several threads may observe it at once; each inference runs on one.

    Args:
        graph: With its weights attached.
        blobs: Wanted ones, in any order.
        tensors: One item's inputs: shapes are learned from them.
        sample_size: Values of a blob and item that are sampled, about.

    Raises:
        ConversionError: The engine refuses the network, or cannot compute a blob.
    """

    def __init__(
        self, graph: Graph, blobs: Collection[str], tensors: Mapping[str, FloatArray], *, sample_size: int
    ) -> None:
        self.blobs = tuple(blob for blob in graph.blobs if blob in set(blobs))
        self.sample_size = sample_size
        known = ranks_of(with_input_sizes(graph, tensors))
        ranks = {blob: known.get(blob, 0) for blob in self.blobs}
        self._load(graph, ranks)
        self._input_shapes = _shapes_of(tensors)
        inference = _Inference(self.start(tensors))
        self.shapes = {blob: inference.shape(blob) for blob in self.blobs}
        found = {blob: len(shape) for blob, shape in self.shapes.items()}
        if found != ranks:
            self._load(graph, found)
        self.places = self._probed.places(self.shapes)
        self.parts = self._probed.parts
        self.whole = frozenset(blob for blob, rank in found.items() if rank not in (VECTOR, IMAGE))

    def start(self, tensors: Mapping[str, FloatArray]) -> Any:
        """Return the engine's extractor for an item.

        Raises:
            ShapeMismatchError: The item has other shapes than the first: the statistics' sizes come from that.
        """
        if _shapes_of(tensors) != self._input_shapes:
            raise ShapeMismatchError(
                f"calibration items have different shapes: {_shapes_of(tensors)} and {self._input_shapes}",
                hint="give all of them the shape that the project file says",
            )
        return self._engine.extractor(tensors, light=True)

    def _load(self, graph: Graph, ranks: Mapping[str, int]) -> None:
        self._probed = with_probes(graph, ranks)
        self._engine = Engine.from_graph(self._probed.graph, options=EngineOptions(threads=1))


def _shapes_of(tensors: Mapping[str, FloatArray]) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in tensors.items()}


class Observer:
    """Runs items, one after the other; each thread has its own.

    The engine's memory pool, shared by threads, grows for hundreds of items, since blocks are asked for in ever other
    orders. With a pool to each thread what the first items took is enough.
    """

    def __init__(self, network: ProbedNetwork) -> None:
        self._network = network
        self._pools = (ncnn.UnlockedPoolAllocator(), ncnn.UnlockedPoolAllocator())

    def observe(self, tensors: Mapping[str, FloatArray], sampled: Collection[str], position: int) -> Observation:
        """Run one item.

        Args:
            tensors: Input blob -> float32, batch first.
            sampled: Blobs to take a sample of.
            position: Of the item in the sequence: with it the sampled places move.
        """
        network = self._network
        inference = _Inference(network.start(tensors), self._pools)
        samples: dict[str, FloatArray] = {}
        whole: dict[str, FloatArray] = {}
        ranges = [np.zeros(0, np.float32)]
        # In light mode a blob is gone once its reader has run: they are taken in the order in which they are made.
        for blob in network.blobs:
            if blob in network.whole:
                whole[blob] = inference.values(blob)
                if blob in sampled:
                    samples[blob] = self._sample(whole[blob].reshape(1, -1, 1), position)
            elif blob in sampled:
                samples[blob] = self._sample(inference.packed(blob), position)
            if blob in network.parts:
                ranges.append(inference.values(network.parts[blob]))
        return Observation(ranges=np.concatenate(ranges), samples=samples, whole=whole)

    def _sample(self, values: NDArray[Any], position: int) -> FloatArray:
        """Every so many positions of ``(groups, positions, channels of a group)``, as a copy."""
        step = max(1, min(values.size // self._network.sample_size, values.shape[1]))
        # A prime, so that over the items the first position goes through all that it can be, whatever the step.
        start = position * _STEP_PRIME % step
        return np.array(values[:, start::step], dtype=np.float32, copy=True).ravel()


class _Inference:
    """One run of the engine.

    Args:
        extractor: The engine's, with its inputs set.
        pools: For blobs and for working memory; None: the engine's own.
    """

    def __init__(self, extractor: Any, pools: tuple[Any, Any] | None = None) -> None:
        self._extractor = extractor
        self._pools = pools
        if pools is not None:
            extractor.set_blob_allocator(pools[0])
            extractor.set_workspace_allocator(pools[1])

    def __del__(self) -> None:
        # The blobs go before the pools that they lie in, also where an error's traceback held on to all of them.
        del self._extractor

    def shape(self, blob: str) -> tuple[int, ...]:
        """Return a blob's shape, channels first, without unpacking it."""
        mat = self._mat(blob, packed=True)
        outermost, *others = (mat.c, mat.d, mat.h, mat.w) if mat.dims > IMAGE else (mat.c, mat.h, mat.w)[-mat.dims :]
        return (outermost * mat.elempack, *others)

    def values(self, blob: str) -> FloatArray:
        """Return a copy of a blob."""
        return np.array(self._mat(blob, packed=False), dtype=np.float32, copy=True)

    def packed(self, blob: str) -> NDArray[Any]:
        """Return a view of a blob as ``(groups, positions, channels of a group)``, valid until the next extraction.

        The engine keeps 4, 8 or 16 channels together; the binding shows that only to who says that it is one long row.
        """
        mat = self._mat(blob, packed=True)
        channels = mat.elempack
        mat.elempack, mat.elemsize = 1, mat.elemsize // channels
        mat.w *= channels
        mat.cstep *= channels
        array = np.asarray(mat)
        return array.reshape(array.shape[0] if array.ndim == IMAGE else 1, -1, channels)

    def _mat(self, blob: str, *, packed: bool) -> Any:
        mat = ncnn.Mat()
        status = self._extractor.extract(blob, mat, int(packed))
        # A kernel larger than its input leaves a blob of negative size, and no other sign.
        if status != 0 or mat.empty() or min(mat.w, mat.h, mat.d, mat.c) <= 0:
            raise ConversionError(f"ncnn cannot compute blob {blob} (status {status})", hint="see docs/convert.md")
        return mat
