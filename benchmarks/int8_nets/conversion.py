"""From a torch module or an ONNX file to the float graph that is quantized, by the package's own conversion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from edgedeploy.artifacts import ComparisonLimits, ConvertedModel, InputSpec, Sample
from edgedeploy.convert.pipeline import convert_model
from edgedeploy.graph import Graph, read_graph
from edgedeploy.progress import SILENT, Progress
from edgedeploy.quantize.items import Data

_LIMITS = ComparisonLimits(max_abs_error=1e-2, cosine=0.9999, sqnr_db=40.0)
_COMPARED = 2


def graph_of_module(net: nn.Module, data: Data, *, input_name: str = "in0", progress: Progress = SILENT) -> Graph:
    """Trace a module, convert it, compare it on the first items of ``data``, and return the graph with its weights.

    Raises:
        ComparisonError: The engine computes something else than torch.
    """
    tensor = data.item(0).tensors[input_name]
    with TemporaryDirectory() as name:
        source = Path(name) / "net.pt"
        with torch.no_grad():
            torch.jit.trace(net.eval(), torch.from_numpy(tensor)).save(str(source))
        inputs = (InputSpec(name="in0", shape=tensor.shape),)
        return graph_of(_convert(source, inputs, data, {"in0": input_name}, progress))


def graph_of_onnx(
    source: Path, shape: tuple[int, ...], data: Data, *, source_input: str, progress: Progress = SILENT
) -> Graph:
    """Convert an ONNX file with one input, and return the graph with its weights.

    Args:
        shape: Of the input, batch 1 first.
        data: Its first items are what is compared on.
        source_input: The input's name in the file.
    """
    inputs = (InputSpec(name=source_input, shape=shape),)
    return graph_of(_convert(source, inputs, data, {source_input: "in0"}, progress))


def graph_of(model: ConvertedModel) -> Graph:
    """Return a converted model's graph with its weights."""
    return read_graph(model.param, model.weights)


def _convert(
    source: Path, inputs: tuple[InputSpec, ...], data: Data, names: dict[str, str], progress: Progress
) -> ConvertedModel:
    samples: Sequence[Sample] = [
        Sample(name=item.name, raw={}, tensors={source_name: item.tensors[name] for source_name, name in names.items()})
        for item in (data.item(index) for index in range(min(_COMPARED, len(data))))
    ]
    return convert_model(source, inputs, samples, fp16=False, limits=_LIMITS, progress=progress)
