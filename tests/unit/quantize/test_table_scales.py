"""Networks quantized by the scales of a calibration table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from int8_toys import Noise
from random_nets import ONE_THREAD, random_net, with_values

from edgedeploy.errors import CalibrationTableError
from edgedeploy.graph import Graph
from edgedeploy.graph.engine import Engine
from edgedeploy.quantize.assemble import INT8_OPTIONS
from edgedeploy.quantize.choices import Int8Model
from edgedeploy.quantize.dynamic import int8_dynamic_layer
from edgedeploy.quantize.error_sums import ErrorSums
from edgedeploy.quantize.pipeline import Prepared, assemble, prepare, quantize
from edgedeploy.quantize.rounding import largest_codes
from edgedeploy.quantize.settings import NAIVE, Rounding, Settings, Target
from edgedeploy.quantize.table import CalibrationTable, parse_table, table_of
from edgedeploy.quantize.table_scales import NOT_NAMED

DATA = Noise(12)
DOTPROD = Target(name="rk3588", dotprod=True)
SETTINGS = Settings(images=8)
GRAPH = random_net(
    "Input in 0 1 in0",
    "Convolution stem 1 1 in0 a 0=16 1=3 4=1 5=1 6=432 9=1",
    "ConvolutionDepthWise dw 1 1 a b 0=16 1=3 4=1 5=1 6=144 7=16 9=1",
    "Split split 1 2 b b0 b1",
    "Convolution left 1 1 b0 c 0=8 1=1 5=1 6=128",
    "Convolution right 1 1 b1 d 0=8 1=1 5=1 6=128",
    "BinaryOp add 2 1 c d e 0=0",
    "Pooling pool 1 1 e p 0=1 4=1",
    "InnerProduct classes 1 1 p out0 0=10 1=1 2=80",
)


@pytest.fixture(scope="module")
def table() -> CalibrationTable:
    """With scales that nothing else would choose."""
    _, model = quantize(GRAPH, DATA, target=DOTPROD, settings=NAIVE)
    found = table_of(model)
    return CalibrationTable(
        weight_scales={key: tuple(scale * 0.75 for scale in scales) for key, scales in found.weight_scales.items()},
        input_scales={name: float(np.float32(scale * 0.5)) for name, scale in found.input_scales.items()},
    )


def by_table(
    table: CalibrationTable, graph: Graph = GRAPH, settings: Settings = SETTINGS
) -> tuple[Prepared, Int8Model]:
    prepared = prepare(graph, DATA, target=DOTPROD, settings=settings, table=table)
    return prepared, assemble(prepared)


@pytest.mark.parametrize("rounding", list(Rounding))
def test_the_networks_scales_are_the_tables(table: CalibrationTable, rounding: Rounding) -> None:
    prepared, model = by_table(table, settings=replace(SETTINGS, rounding=rounding))
    for name in table.input_scales:
        layer = model.graph.layer(name)
        assert layer.weight("weight_scales").array == pytest.approx(np.float32(table.weight_scales[name, 0]), rel=1e-6)
        assert layer.weight("input_scales").array == pytest.approx([table.input_scales[name]], rel=1e-6)
        assert np.abs(layer.weight("weight").array).max() in range(90, 101), "three quarters of 127, and rounding"
    written = table_of(model)
    assert written.input_scales == pytest.approx(table.input_scales)
    assert prepared.equalization is None
    assert {choice.int8 for choice in model.layers} == {True}
    assert model.encodings, "codes are handed on as ever"
    item = DATA.item(11).tensors
    expected, found = (
        Engine.from_graph(graph, options=replace(INT8_OPTIONS, threads=1)).run(["out0"], item)["out0"]
        for graph in (GRAPH, model.graph)
    )
    assert ErrorSums.of(expected, found).sqnr_db > 20


def test_layers_without_scales_stay_in_float(table: CalibrationTable) -> None:
    smaller = CalibrationTable(
        weight_scales={key: scales for key, scales in table.weight_scales.items() if key != ("dw", 0)},
        input_scales={name: scale for name, scale in table.input_scales.items() if name != "dw"},
    )
    prepared, model = by_table(smaller)
    assert prepared.left["dw"] == NOT_NAMED == model.choice("dw").reason
    assert [choice.name for choice in model.layers if not choice.int8] == ["dw"]


def test_readers_of_one_blob_need_one_scale(table: CalibrationTable) -> None:
    torn = replace(table, input_scales={**table.input_scales, "right": 3.5})
    with pytest.raises(CalibrationTableError, match=r"different input scales.*left .*, right 3.5"):
        by_table(torn)


def test_a_table_of_other_weights_is_refused(table: CalibrationTable) -> None:
    layer = GRAPH.layer("left").weight("weight")
    other = with_values(GRAPH, "left", "weight", np.asarray(layer.array, dtype=np.float64) * 50)
    with pytest.raises(CalibrationTableError, match="layer left: its largest weights would be") as caught:
        by_table(table, other)
    assert "layer right" not in caught.value.message
    renamed = random_net("Input in 0 1 in0", "Convolution other 1 1 in0 out0 0=4 1=1 5=1 6=12")
    with pytest.raises(CalibrationTableError, match="there is no layer stem"):
        by_table(table, renamed)


def test_channels_of_fewer_bits_have_steps_as_much_wider() -> None:
    graph = random_net(
        "Input in 0 1 in0",
        "Convolution first 1 1 in0 a 0=64 1=1 5=1 6=192 9=1",
        "Convolution wide 1 1 a b 0=64 1=3 4=1 5=1 6=36864",
        "Pooling pool 1 1 b out0 0=1 4=1",
    )
    weight = np.asarray(graph.layer("wide").weight("weight").array, dtype=np.float64).copy()
    weight[0] = 1.0  # all of one sign and size, on inputs that are never small: the largest sums there can be
    graph = with_values(graph, "wide", "weight", weight)
    graph = with_values(graph, "first", "bias", np.full(64, 10.0))
    target = Target(name="rk3399", dotprod=False)
    _, plain = quantize(graph, DATA, target=DOTPROD, settings=NAIVE)
    table = table_of(plain)
    model = assemble(prepare(graph, DATA, target=target, settings=Settings(images=8), table=table))
    bits = np.array(model.choice("wide").weight_bits)
    assert bits[0] < 8 and set(bits[1:]) == {8}
    expected = np.float32(table.weight_scales["wide", 0]) * largest_codes(bits) / 127
    assert model.graph.layer("wide").weight("weight_scales").array == pytest.approx(expected, rel=1e-6)


def test_layers_that_scale_their_inputs_take_the_tables_weights_scales() -> None:
    graph = random_net(
        "Input in 0 1 in0",
        "GRU gru 1 1 in0 a 0=6 1=144 2=0",
        "Gemm gemm 1 1 a out0 4=0 5=1 6=1 7=0 8=5 9=6 10=-1",
    )
    data = Noise(4, shape=(3, 8))
    layer = int8_dynamic_layer(graph.layer("gru"))
    lines = {name: layer.weight(f"weight_{name}_scales").array.ravel() / 2 for name in ("xc", "hc")}
    text = "".join(
        f"gru_param_{index} {' '.join(str(scale) for scale in scales)}\n" for index, scales in enumerate(lines.values())
    )
    prepared = prepare(graph, data, target=DOTPROD, table=parse_table(text))
    written = assemble(prepared).graph.layer("gru")
    for name, scales in lines.items():
        assert written.weight(f"weight_{name}_scales").array.ravel() == pytest.approx(scales)
        assert np.abs(written.weight(f"weight_{name}").array).max() in (63, 64)
    assert assemble(prepared).choice("gemm").int8, "the format has no name for its scales"
    choice = assemble(prepared).choice("gru")
    assert choice.weight_scales == pytest.approx(np.concatenate(list(lines.values())))
    assert choice.weight_bits == (8,) * 36
    expected, found = (
        Engine.from_graph(net, options=ONE_THREAD).run(["out0"], data.item(0).tensors)["out0"]
        for net in (graph, assemble(prepared).graph)
    )
    assert ErrorSums.of(expected, found).sqnr_db > 20
