"""Makes int8 networks of what was decided, with any choice of layers left in float."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from edgedeploy.graph.engine import EngineOptions
from edgedeploy.graph.model import Graph, Layer
from edgedeploy.graph.passes import PassRecord
from edgedeploy.graph.passes.edits import wiring_of
from edgedeploy.graph.passes.linear import Values
from edgedeploy.quantize.accumulators import MOST_BITS
from edgedeploy.quantize.chains import Chains, copies_of, find_chains
from edgedeploy.quantize.choices import Encoding, Int8Model, LayerChoice
from edgedeploy.quantize.decide import Decision
from edgedeploy.quantize.dynamic import dynamic_scales, int8_dynamic_layer
from edgedeploy.quantize.equalize import Equalization
from edgedeploy.quantize.ranges import encoding_for
from edgedeploy.quantize.settings import Settings, Target
from edgedeploy.quantize.statistics import BlobStatistics
from edgedeploy.quantize.table import CalibrationTable
from edgedeploy.quantize.table_scales import weight_scales_of
from edgedeploy.quantize.write import int8_layer, offering_layer

INT8_OPTIONS = EngineOptions(winograd43=False, packing=False)
"""For int8 networks on the host, so that it computes what boards compute: its F(4,3) overflows where theirs does not,
and with packing it divides approximately in depthwise layers."""

KEPT_FLOAT = "it was put back to float"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """All decisions about a network; ``assemble`` makes int8 networks of it.

    Args:
        source: As it was given.
        graph: In float, after passes and equalisation: the same outputs.
        passes: What each pass did.
        equalization: What was evened out; None: not asked for.
        candidates: Layers that can be int8, in execution order.
        left: Other layers that multiply -> why they stay in float.
        statistics: Source blob -> what calibration saw of it.
        encodings: Source blob -> how it is encoded with all candidates in int8.
        decisions: Layer -> weights and biases; of candidates whose inputs the engine quantizes there is none.
        table: Whose scales they have; None: they were chosen.
    """

    source: Graph
    graph: Graph
    passes: tuple[PassRecord, ...]
    equalization: Equalization | None
    candidates: tuple[str, ...]
    left: Mapping[str, str]
    target: Target
    settings: Settings
    statistics: Mapping[str, BlobStatistics]
    encodings: Mapping[str, Encoding]
    decisions: Mapping[str, Decision]
    table: CalibrationTable | None = None


def assemble(
    prepared: Prepared, *, keep_float: Collection[str] = (), biases: Mapping[str, Values] | None = None
) -> Int8Model:
    """Write an int8 network.

    Args:
        keep_float: Candidates that stay in float.
        biases: Layer -> bias in place of the one decided with all candidates in int8.

    Raises:
        KeyError: A name in ``keep_float`` is none of the candidates.
    """
    for name in keep_float:
        if name not in prepared.candidates:
            raise KeyError(f"{name} is no candidate for int8")
    graph = prepared.graph
    int8 = frozenset(prepared.candidates) - frozenset(keep_float)
    chains = find_chains(graph, [name for name in int8 if name in prepared.decisions])
    wiring = wiring_of(graph)
    encodings = encodings_of(chains, prepared.encodings)
    moved = [source for source in chains.readers if source in chains.offered and encodings[source].middle]
    choices: list[LayerChoice] = []
    layers: list[Layer] = []
    for layer in graph.layers:
        if layer.name in chains.sources:
            source, output = encodings[chains.sources[layer.name]], layer.outputs[0]
            handed_on = encodings[output] if output in chains.handed_on else None
            decision = prepared.decisions[layer.name]
            if biases is not None and layer.name in biases:
                decision = decision.with_bias(biases[layer.name])
            layers.append(int8_layer(layer, decision.weights, source=source, handed_on=handed_on))
            choices.append(_choice(layer, decision, source, handed_on))
        elif layer.name in int8:
            layers.append(int8_dynamic_layer(layer, weight_scales_of(prepared.table, layer)))
            choices.append(_dynamic_choice(layers[-1]))
        else:
            offered = encodings[layer.outputs[0]] if layer.outputs[0] in moved else None
            layers.append(layer if offered is None else offering_layer(layer, offered))
            choices += _float_choice(layer, prepared)
    held = {copy: encodings[source] for source in chains.handed_on for copy in copies_of(source, wiring)}
    offers = {copy: encodings[source] for source in moved for copy in copies_of(source, wiring)}
    return Int8Model(graph=replace(graph, layers=tuple(layers)), layers=tuple(choices), encodings=held, offers=offers)


def encodings_of(chains: Chains, decided: Mapping[str, Encoding]) -> dict[str, Encoding]:
    """Return how the source blobs are encoded.

    Args:
        chains: Of the layers that are in int8.
        decided: Source blob -> its encoding with all candidates in int8.
    """
    return {source: _encoding(source, chains, decided) for source in chains.readers}


def _encoding(source: str, chains: Chains, decided: Mapping[str, Encoding]) -> Encoding:
    """Return the encoding decided for a blob; symmetric where others than int8 convolutions read its numbers."""
    encoding = decided[source]
    if encoding.middle == 0 or source in chains.handed_on or source in chains.offered:
        return encoding
    return encoding_for(encoding.highest, shifted=False)


def _float_choice(layer: Layer, prepared: Prepared) -> list[LayerChoice]:
    """Return why a layer that multiplies stays in float; nothing for others."""
    if layer.name in prepared.candidates:
        return [LayerChoice(name=layer.name, type=layer.type, int8=False, reason=KEPT_FLOAT)]
    if layer.name in prepared.left:
        return [LayerChoice(name=layer.name, type=layer.type, int8=False, reason=prepared.left[layer.name])]
    return []


def _dynamic_choice(written: Layer) -> LayerChoice:
    scales = dynamic_scales(written)
    return LayerChoice(
        name=written.name, type=written.type, int8=True, weight_scales=scales, weight_bits=(MOST_BITS,) * len(scales)
    )


def _choice(layer: Layer, decision: Decision, source: Encoding, handed_on: Encoding | None) -> LayerChoice:
    return LayerChoice(
        name=layer.name,
        type=layer.type,
        int8=True,
        input=source,
        output=handed_on,
        weight_scales=decision.weights.scales,
        weight_bits=decision.accumulators.bits,
        winograd=decision.accumulators.winograd,
        accumulator_bound=decision.accumulators.bound,
        accumulator_limit=decision.accumulators.limit,
        accumulator_reason=decision.accumulators.reason,
        bias_correction=decision.bias_change,
    )
