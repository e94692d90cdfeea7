"""The .bin reader and writer: every storage, every cut, and the engine itself as the judge of the layout table."""

from __future__ import annotations

import struct
from pathlib import Path

import ncnn
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.errors import MissingFileError, ParamSyntaxError, TruncatedWeightsError, UnsupportedOperatorError
from edgedeploy.graph import (
    Graph,
    Layer,
    Param,
    Storage,
    Weight,
    attach_weights,
    format_param,
    known_layer_types,
    make_weight,
    parse_param,
    read_graph,
    weights_bytes,
    write_graph,
)
from edgedeploy.graph.layouts import LAYOUTS, Load, layout_of
from edgedeploy.graph.storage import TAGS

MARK = 1234.5

# One row a form of a weighted layer: type and parameters. Sizes differ, so that no two can be confused.
FORMS = {
    "batch norm": ("BatchNorm", "0=5"),
    "bias": ("Bias", "0=7"),
    "conv": ("Convolution", "0=6 1=3 11=2 6=108"),
    "conv bias": ("Convolution", "0=6 1=3 5=1 6=162"),
    "conv dynamic": ("Convolution", "0=6 1=3 6=162 19=1"),
    "conv int8": ("Convolution", "0=6 1=3 5=1 6=162 8=2"),
    "conv int8 requantize": ("Convolution", "0=6 1=3 5=1 6=162 8=102"),
    "conv 1d": ("Convolution1D", "0=6 1=3 5=1 6=90"),
    "conv 3d": ("Convolution3D", "0=2 1=3 11=2 21=1 5=1 6=36"),
    "depthwise": ("ConvolutionDepthWise", "0=6 1=3 5=1 6=54 7=6"),
    "depthwise int8": ("ConvolutionDepthWise", "0=6 1=3 5=1 6=54 7=6 8=1"),
    "depthwise int8 one scale": ("ConvolutionDepthWise", "0=6 1=3 6=54 7=6 8=2"),
    "depthwise int8 requantize": ("ConvolutionDepthWise", "0=6 1=3 5=1 6=54 7=6 8=101"),
    "depthwise 1d": ("ConvolutionDepthWise1D", "0=6 1=3 5=1 6=18 7=6"),
    "depthwise 3d": ("ConvolutionDepthWise3D", "0=6 1=3 5=1 6=162 7=6"),
    "deconv": ("Deconvolution", "0=6 1=3 5=1 6=162"),
    "deconv dynamic": ("Deconvolution", "0=6 1=3 6=162 28=1"),
    "deconv 1d": ("Deconvolution1D", "0=6 1=3 5=1 6=90"),
    "deconv 3d": ("Deconvolution3D", "0=2 1=3 11=2 21=1 5=1 6=36"),
    "deconv depthwise": ("DeconvolutionDepthWise", "0=6 1=3 5=1 6=54 7=6"),
    "deconv depthwise 1d": ("DeconvolutionDepthWise1D", "0=6 1=3 5=1 6=18 7=6"),
    "deconv depthwise 3d": ("DeconvolutionDepthWise3D", "0=6 1=3 5=1 6=162 7=6"),
    "deformable conv": ("DeformableConv2D", "0=6 1=3 5=1 6=162"),
    "dequantize": ("Dequantize", "0=5"),
    "dequantize bias": ("Dequantize", "0=5 1=5"),
    "embed": ("Embed", "0=4 1=9 2=1 3=36"),
    "embed int8": ("Embed", "0=4 1=9 2=1 3=36 18=2"),
    "gemm constant b c": ("Gemm", "3=1 5=1 6=1 7=0 8=7 9=5 10=4"),
    "gemm constant a": ("Gemm", "4=1 7=3 8=0 9=5"),
    "gemm constant a transposed": ("Gemm", "2=1 4=1 7=3 8=0 9=5 6=1 10=1"),
    "gemm constant scalar c": ("Gemm", "5=1 6=1 8=7 9=5 10=0"),
    "gemm int8": ("Gemm", "3=1 5=1 6=1 7=0 8=7 9=5 10=4 18=2"),
    "gemm int8 constant a": ("Gemm", "4=1 7=3 9=5 18=2"),
    "gemm 4 bits": ("Gemm", "3=1 5=1 7=0 8=3 9=65 18=400"),
    "gemm 6 bits input scales": ("Gemm", "3=1 5=1 6=1 8=3 9=65 10=4 18=611"),
    "gemm 8 bits": ("Gemm", "3=1 5=1 7=0 8=3 9=130 18=802"),
    "group norm": ("GroupNorm", "0=2 1=6"),
    "group norm plain": ("GroupNorm", "0=2 1=6 3=0"),
    "gru": ("GRU", "0=5 1=60"),
    "gru both ways": ("GRU", "0=5 1=120 2=2"),
    "gru int8": ("GRU", "0=5 1=60 8=2"),
    "inner product": ("InnerProduct", "0=5 1=1 2=35"),
    "inner product int8": ("InnerProduct", "0=5 1=1 2=35 8=2"),
    "instance norm": ("InstanceNorm", "0=5"),
    "instance norm plain": ("InstanceNorm", "0=5 2=0"),
    "layer norm": ("LayerNorm", "0=5"),
    "lstm": ("LSTM", "0=5 1=80"),
    "lstm projection both ways": ("LSTM", "0=3 1=160 2=2 3=5"),
    "lstm int8": ("LSTM", "0=5 1=80 8=2"),
    "memory 1d": ("MemoryData", "0=5"),
    "memory 2d": ("MemoryData", "0=5 1=3"),
    "memory 3d": ("MemoryData", "0=5 1=3 2=2"),
    "memory 4d tagged": ("MemoryData", "0=5 1=3 11=2 2=2 21=0"),
    "attention": ("MultiHeadAttention", "0=8 1=2 2=48 3=5 4=7"),
    "attention int8": ("MultiHeadAttention", "0=8 1=2 2=48 3=5 4=7 18=2"),
    "attention 4 bits": ("MultiHeadAttention", "0=8 1=2 2=64 18=410"),
    "normalize": ("Normalize", "3=5"),
    "padding": ("Padding", "6=5"),
    "padding plain": ("Padding", "0=1"),
    "prelu": ("PReLU", "0=5"),
    "quantize": ("Quantize", "0=5"),
    "requantize": ("Requantize", "0=5 1=3 2=5"),
    "rms norm": ("RMSNorm", "0=5"),
    "rnn": ("RNN", "0=5 1=20"),
    "rnn int8 both ways": ("RNN", "0=5 1=40 2=2 8=2"),
    "scale": ("Scale", "0=5 1=1"),
    "scale by input": ("Scale", "0=-233"),
}


def _graph(kind: str, params: str) -> Graph:
    """The layer under test, then a marker whose value the engine reads from where it believes the layer ends."""
    return parse_param(
        f"7767517\n3 3\nInput in0 0 1 in0\n{kind} layer 1 1 in0 out0 {params}\nMemoryData mark 0 1 mark 0=1\n"
    )


def _filled(graph: Graph, storage: Storage = Storage.FP32, seed: int = 0) -> Graph:
    """Weights of the layout's shapes; tagged ones in the given storage."""
    generator = np.random.default_rng(seed)
    layers = []
    for layer in graph.layers:
        weights = []
        for slot in layout_of(layer):
            values = generator.integers(1, 90, slot.shape).astype(np.float32)
            kinds = {Load.TAGGED: storage, Load.FLOATS: Storage.UNTAGGED, Load.BYTES: Storage.PACKED}
            weights.append(make_weight(slot.name, values, kinds[slot.load]))
        layers.append(Layer(**{**vars(layer), "weights": tuple(weights)}))
    filled = Graph(layers=tuple(layers))
    mark = make_weight("data", np.array([MARK], np.float32), Storage.UNTAGGED)
    return filled.with_layer(filled.layer("mark").with_weight(mark))


def _engine_reads_mark(graph: Graph, directory: Path) -> float | None:
    """Load the files in the engine; return the marker's value, None where the engine refuses."""
    write_graph(graph, directory / "m.param", directory / "m.bin")
    net = ncnn.Net()
    if net.load_param(str(directory / "m.param")) != 0 or net.load_model(str(directory / "m.bin")) != 0:
        return None
    status, mat = net.create_extractor().extract("mark")
    return float(np.array(mat)[0]) if status == 0 else None


@pytest.mark.parametrize(("kind", "params"), FORMS.values(), ids=FORMS)
def test_the_engine_agrees_where_each_layer_ends(kind: str, params: str, tmp_path: Path) -> None:
    graph = _filled(_graph(kind, params))
    assert _engine_reads_mark(graph, tmp_path) == MARK
    again = read_graph(tmp_path / "m.param", tmp_path / "m.bin")
    assert again.layer("layer").weights == graph.layer("layer").weights
    assert weights_bytes(again) == (tmp_path / "m.bin").read_bytes()


def test_the_forms_cover_the_whole_table() -> None:
    assert {kind for kind, _ in FORMS.values()} == set(LAYOUTS)


@pytest.mark.parametrize("storage", [Storage.FP16, Storage.BF16, Storage.INT8, Storage.RAW_FP32])
def test_the_engine_agrees_on_tags_and_padding(storage: Storage, tmp_path: Path) -> None:
    graph = _filled(_graph("MemoryData", "0=5 1=3 21=0"), storage)
    assert _engine_reads_mark(graph, tmp_path) == MARK


def test_the_layer_types_are_the_engines() -> None:
    for name in known_layer_types():
        assert ncnn.create_layer(name) is not None, name
    indices = {ncnn.layer_to_index(name) for name in known_layer_types()}
    off_by_default = {ncnn.layer_to_index("ArgMax"), ncnn.layer_to_index("SPP")}
    assert indices | off_by_default == set(range(max(indices) + 1))


def test_arrays_have_the_shapes_of_the_layer() -> None:
    conv = _filled(_graph("Convolution", "0=6 1=3 11=2 5=1 6=108")).layer("layer")
    assert conv.weight("weight").array.shape == (6, 3, 2, 3)
    assert conv.weight("bias").array.shape == (6,)
    dense = _filled(_graph("InnerProduct", "0=5 1=1 2=35")).layer("layer")
    assert dense.weight("weight").array.shape == (5, 7)


def test_every_storage_reads_as_its_values() -> None:
    values = np.array([[-1.5, 0.25, 3.0], [64.0, -0.125, 100.0]], np.float32)
    for storage, kind in {
        Storage.FP32: np.float32,
        Storage.FP16: np.float16,
        Storage.BF16: np.float32,
        Storage.RAW_FP32: np.float32,
        Storage.UNTAGGED: np.float32,
    }.items():
        array = make_weight("w", values, storage).array
        assert array.dtype == kind
        np.testing.assert_array_equal(array.astype(np.float32), values)
    whole = np.array([-128, 0, 127, 5, -3], np.int8)
    weight = make_weight("w", whole, Storage.INT8)
    np.testing.assert_array_equal(weight.array, whole)
    assert len(weight.to_bytes()) == 4 + 8, "five bytes are padded to eight"


def test_table_storage_is_decoded() -> None:
    table = np.linspace(-2, 2, 256, dtype=np.float32)
    indices = np.array([0, 255, 7, 128, 3], np.uint8)
    data = struct.pack("<I", 0x00ABCDEF) + table.tobytes() + indices.tobytes() + b"\x11\x22\x33"
    graph = parse_param("7767517\n2 2\nInput in0 0 1 in0\nInnerProduct fc 1 1 in0 out0 0=1 2=5\n")
    weight = attach_weights(graph, data).layer("fc").weight("weight")
    assert weight.storage is Storage.TABLE
    np.testing.assert_array_equal(weight.array, table[indices][np.newaxis])
    assert weight.to_bytes() == data, "tag and padding come back as they were"
    assert weight.with_array(weight.array).storage is Storage.FP32


def test_bfloat16_rounds_to_the_nearest() -> None:
    values = np.array([1.0, 1.00390625, 1.01171875, -3.14159274], np.float32)
    found = make_weight("w", values, Storage.BF16).array
    np.testing.assert_array_equal(found, np.array([1.0, 1.0, 1.015625, -3.140625], np.float32))


@st.composite
def _int8_networks(draw: st.DrawFn) -> Graph:
    """Chains of quantized layers with sizes, bias and requantization drawn at random."""
    lines = ["Input in0 0 1 in0"]
    for index in range(draw(st.integers(1, 4))):
        outputs, inputs, kernel = (draw(st.integers(1, 5)) for _ in range(3))
        bias = draw(st.integers(0, 1))
        kind = draw(st.sampled_from(["Convolution", "ConvolutionDepthWise", "InnerProduct"]))
        params = {
            "Convolution": f"0={outputs} 1={kernel} 5={bias} 6={outputs * inputs * kernel**2} "
            f"8={draw(st.sampled_from([0, 1, 2, 101, 102]))}",
            "ConvolutionDepthWise": f"0={outputs} 1={kernel} 5={bias} 6={outputs * kernel**2} 7={outputs} "
            f"8={draw(st.sampled_from([0, 1, 2, 101, 102]))}",
            "InnerProduct": f"0={outputs} 1={bias} 2={outputs * inputs} 8={draw(st.sampled_from([0, 2]))}",
        }
        source = f"b{index - 1}" if index else "in0"
        lines.append(f"{kind} layer{index} 1 1 {source} b{index} {params[kind]}")
    lines.append("MemoryData mark 0 1 mark 0=1")
    text = "\n".join(["7767517", f"{len(lines)} {len(lines)}", *lines, ""])
    storage = draw(st.sampled_from([Storage.INT8, Storage.FP32, Storage.FP16]))
    return _filled(parse_param(text), storage, draw(st.integers(0, 1000)))


@given(_int8_networks())
def test_quantized_networks_round_trip(graph: Graph) -> None:
    data = weights_bytes(graph)
    again = attach_weights(parse_param(format_param(graph)), data)
    assert again == graph
    assert weights_bytes(again) == data


@given(_int8_networks(), st.data())
def test_weights_cut_anywhere_are_truncated(graph: Graph, data: st.DataObject) -> None:
    whole = weights_bytes(graph)
    bare = parse_param(format_param(graph))
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(TruncatedWeightsError, match=r"needs \d+ bytes at \d+"):
        attach_weights(bare, whole[:cut])
    with pytest.raises(TruncatedWeightsError, match="left over"):
        attach_weights(bare, whole + bytes(data.draw(st.integers(1, 40))))


def test_unknown_layer_types_are_listed_with_their_layers() -> None:
    graph = parse_param(
        "7767517\n4 4\nInput in0 0 1 in0\nConv a 1 1 in0 b\npnnx.Expression e 1 1 b c\nConv d 1 1 c out0 0=3\n"
    )
    with pytest.raises(UnsupportedOperatorError) as caught:
        attach_weights(graph, b"")
    assert "Conv: a, d" in caught.value.message
    assert "pnnx.Expression: e" in caught.value.message


def test_a_negative_size_is_a_syntax_error_with_its_line() -> None:
    graph = parse_param("7767517\n2 2\nInput in0 0 1 in0\nPReLU p 1 1 in0 out0 0=-4\n")
    with pytest.raises(ParamSyntaxError, match=r"^line 4: slope of layer p"):
        attach_weights(graph, b"")


def test_a_changed_weight_changes_its_bytes_only() -> None:
    graph = _filled(_graph("InnerProduct", "0=5 1=1 2=35"))
    layer = graph.layer("layer")
    changed = graph.with_layer(layer.with_weight(layer.weight("bias").with_array(np.zeros(5, np.float32))))
    before, after = weights_bytes(graph), weights_bytes(changed)
    bias_at = 4 + 35 * 4
    assert before[:bias_at] == after[:bias_at]
    assert after[bias_at : bias_at + 20] == bytes(20)
    assert before[bias_at + 20 :] == after[bias_at + 20 :]


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"gone\.param"):
        read_graph(tmp_path / "gone.param")
    write_graph(_filled(_graph("Bias", "0=7")), tmp_path / "m.param", tmp_path / "m.bin")
    with pytest.raises(MissingFileError, match=r"gone\.bin"):
        read_graph(tmp_path / "m.param", tmp_path / "gone.bin")
    (tmp_path / "bad.param").write_text("no param")
    with pytest.raises(ParamSyntaxError, match=r"bad\.param: line 1"):
        read_graph(tmp_path / "bad.param")


def test_nothing_is_left_behind_by_a_failed_write(tmp_path: Path) -> None:
    unwritable = Graph(layers=(Layer(type="Input", name="in0", outputs=("in0",), params=(Param(key=0, value=2**40),)),))
    with pytest.raises(ParamSyntaxError):
        write_graph(unwritable, tmp_path / "m.param", tmp_path / "m.bin")
    assert not (tmp_path / "m.param").exists()
    assert not list(tmp_path.glob(".*"))


def test_names_outside_utf8_survive(tmp_path: Path) -> None:
    text = b"7767517\n2 2\nInput in0 0 1 in0\nReLU r\xff\xe9 1 1 in0 out0\n"
    (tmp_path / "m.param").write_bytes(text)
    graph = read_graph(tmp_path / "m.param")
    write_graph(graph, tmp_path / "n.param", tmp_path / "n.bin")
    assert (tmp_path / "n.param").read_bytes() == text


def test_the_tags_are_the_engines() -> None:
    assert {kind.value: tag for kind, tag in TAGS.items()} == {
        "fp32": 0,
        "fp16": 0x01306B47,
        "bf16": 0x01348B83,
        "int8": 0x000D4B38,
        "raw-fp32": 0x0002C056,
    }
    assert Weight(name="w", shape=(1,), storage=Storage.FP32, payload=b"\0\0\0\0", tag=0).to_bytes() == bytes(8)
