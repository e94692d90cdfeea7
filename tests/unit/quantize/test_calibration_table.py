from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from random_nets import random_net

from edgedeploy.errors import CalibrationTableError, MissingFileError
from edgedeploy.graph import Storage, make_weight
from edgedeploy.quantize.choices import Encoding, Int8Model, LayerChoice
from edgedeploy.quantize.table import (
    CalibrationTable,
    format_table,
    parse_table,
    read_table,
    require_fit,
    table_of,
    write_table,
)

GRAPH = random_net(
    "Input x 0 1 x",
    "Convolution conv 1 1 x a 0=3 1=3 5=1 6=81",
    "ConvolutionDepthWise dw 1 1 a b 0=3 1=3 5=1 6=27 7=3",
    "Pooling pool 1 1 b c 0=1 4=1",
    "InnerProduct fc 1 1 c out 0=2 1=1 2=6",
)
FITTING = CalibrationTable(
    weight_scales={("conv", 0): (1.0, 2.0, 3.0), ("dw", 0): (4.0, 5.0, 6.0), ("fc", 0): (7.0, 8.0)},
    input_scales={"conv": 9.0, "dw": 10.0, "fc": 11.0},
)
# As the engine's ncnn2table writes it: %f, a blank at the end of each line.
ENGINE_TEXT = (
    "conv1_param_0 156.639840 536.133057 27.127527 \nfc_param_0 1.000000 8219.168945 \nconv1 0.845193 \nfc 87.230003 \n"
)

scales = st.floats(min_value=2.0**-126, allow_infinity=False, allow_nan=False, width=32)
names = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1, max_size=40).filter(
    lambda name: "_param_" not in name and name.split() == [name]
)
tables = st.builds(
    CalibrationTable,
    weight_scales=st.dictionaries(
        st.tuples(names, st.integers(0, 3)), st.lists(scales, min_size=1, max_size=5).map(tuple), min_size=1, max_size=4
    ),
    input_scales=st.dictionaries(names, scales, max_size=4),
)


class TestText:
    def test_the_engine_s_own_is_read(self) -> None:
        table = parse_table(ENGINE_TEXT)
        assert table.weight_scales == {
            ("conv1", 0): tuple(float(np.float32(x)) for x in (156.639840, 536.133057, 27.127527)),
            ("fc", 0): (1.0, 8219.1689453125),
        }
        assert table.input_scales["conv1"] == pytest.approx(0.845193)
        assert list(table.input_scales) == ["conv1", "fc"]

    @given(tables)
    def test_what_is_written_is_read_back(self, table: CalibrationTable) -> None:
        assert parse_table(format_table(table)) == table

    @given(tables)
    def test_the_engine_s_reader_understands_it(self, table: CalibrationTable) -> None:
        """Names and numbers between single blanks, one line each, none empty."""
        lines = format_table(table).split("\n")
        assert lines.pop() == ""
        for line in lines:
            name, *numbers = line.split(" ")
            assert name
            assert all(0 < float(number) < np.inf for number in numbers)
            assert len(name.encode()) <= 255

    @pytest.mark.parametrize(
        ("text", "line", "problem"),
        [
            ("conv_param_0 1.0\nconv", 2, "no scales"),
            ("conv 1.0\n\nfc 2.0", 2, "empty"),
            ("conv 1.0 2.0", 1, "2 scales"),
            ("conv 1.0\nconv 1.0", 2, "second time"),
            ("conv_param_0 1.0\nconv_param_0 1.0", 2, "second time"),
            ("conv_param_x 1.0", 1, "no name of weights"),
            ("_param_0 1.0", 1, "no name of weights"),
            ("conv nan", 1, "'nan' is no number"),
            ("conv inf", 1, "'inf' is no number"),
            ("conv 1_0", 1, "no number"),
            ("conv 0x10", 1, "no number"),
            ("conv 0.0", 1, "not positive"),
            ("conv -3.5", 1, "not positive"),
            ("conv 1e39", 1, "not positive and finite"),
            ("conv 1e-60", 1, "not positive and finite"),
            ("x" * 300 + " 1.0", 1, "longer"),
        ],
    )
    def test_what_is_wrong_is_named_with_its_line(self, text: str, line: int, problem: str) -> None:
        with pytest.raises(CalibrationTableError, match=f"line {line} of the calibration table: .*{problem}") as error:
            parse_table(text)
        assert error.value.hint

    @pytest.mark.parametrize("text", ["", "\n", "  \r\n \n"])
    def test_an_empty_table_is_refused(self, text: str) -> None:
        with pytest.raises(CalibrationTableError, match="empty"):
            parse_table(text)

    def test_line_ends_of_other_systems_are_read(self) -> None:
        assert parse_table(ENGINE_TEXT.replace("\n", "\r\n")) == parse_table(ENGINE_TEXT)

    @given(st.text() | st.text(alphabet="conv_param_012.e- \n\tn"))
    @example("a_param_0 1\na 1\n")
    @example("\x1c1")
    @example("a_param_00 1\na_param_0 1")
    def test_any_text_is_a_table_or_a_typed_error(self, text: str) -> None:
        try:
            table = parse_table(text)
        except CalibrationTableError:
            return
        assert parse_table(format_table(table)) == table

    @pytest.mark.parametrize("name", ["", "a b", "conv_param_0", "my_param_conv", "a\n", "x" * 250])
    def test_a_name_that_would_be_read_as_something_else_is_not_written(self, name: str) -> None:
        with pytest.raises(CalibrationTableError, match="cannot name the layer"):
            format_table(CalibrationTable(input_scales={name: 1.0}))

    def test_nothing_is_not_written(self) -> None:
        with pytest.raises(CalibrationTableError, match="no scales"):
            format_table(CalibrationTable())


class TestFiles:
    def test_round_trip(self, tmp_path: Path) -> None:
        path = tmp_path / "net.table"
        write_table(path, FITTING)
        assert read_table(path) == FITTING
        assert path.read_text().splitlines()[0] == "conv_param_0 1.0 2.0 3.0"

    def test_what_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(MissingFileError):
            read_table(tmp_path / "none.table")
        with pytest.raises(CalibrationTableError, match="cannot be read"):
            read_table(tmp_path)
        path = tmp_path / "net.table"
        path.write_bytes(b"conv \xff\xfe 1.0")
        with pytest.raises(CalibrationTableError, match="is no text"):
            read_table(path)
        path.write_text("conv one")
        with pytest.raises(CalibrationTableError, match=r"net\.table: line 1 .*'one' is no number"):
            read_table(path)


class TestFit:
    def test_a_table_of_the_network_fits(self) -> None:
        require_fit(FITTING, GRAPH)

    def test_part_of_the_layers_is_enough(self) -> None:
        require_fit(CalibrationTable(weight_scales={("fc", 0): (1.0, 1.0)}, input_scales={"fc": 1.0}), GRAPH)

    def test_every_fault_is_listed(self) -> None:
        table = CalibrationTable(
            weight_scales={("conv", 0): (1.0, 2.0), ("dw", 0): (1.0,) * 3, ("dw", 1): (1.0,), ("other", 0): (1.0,)},
            input_scales={"conv": 1.0, "fc": 1.0, "pool": 1.0},
        )
        with pytest.raises(CalibrationTableError) as error:
            require_fit(table, GRAPH)
        assert error.value.message.splitlines()[1:] == [
            "  layer conv has 2 weight scales, not 3",
            "  layer dw has 3 and 1 weight scales, not 3",
            "  layer dw has no scale of its input",
            "  there is no layer other",
            "  layer fc has no weight scales, not 2",
            "  layer pool is a Pooling, which has no scales in a table",
        ]

    @pytest.mark.parametrize(
        ("line", "counts"),
        [
            ("LSTM rnn 1 1 x out 0=4 1=96 2=0 3=4", (16, 16)),
            ("GRU rnn 1 1 x out 0=4 1=72 2=0", (12, 12)),
            ("RNN rnn 1 1 x out 0=4 1=24 2=0", (4, 4)),
            ("Embed rnn 1 1 x out 0=4 1=10 2=0 3=40", (1,)),
            ("MultiHeadAttention rnn 1 1 x out 0=4 1=2 2=16 3=4 4=4", (4, 4, 4, 1)),
        ],
    )
    def test_dynamic_layers_have_weight_scales_only(self, line: str, counts: tuple[int, ...]) -> None:
        graph = random_net("Input x 0 1 x", line)
        weights = {("rnn", index): (1.0,) * count for index, count in enumerate(counts)}
        require_fit(CalibrationTable(weight_scales=weights), graph)
        with pytest.raises(CalibrationTableError, match="layer rnn has a scale of its input"):
            require_fit(CalibrationTable(weight_scales=weights, input_scales={"rnn": 1.0}), graph)
        with pytest.raises(CalibrationTableError, match="weight scales, not"):
            require_fit(CalibrationTable(weight_scales={("rnn", 0): (1.0,) * (counts[0] + 1)}), graph)


class TestOfAModel:
    def test_scales_of_int8_layers_are_written_shifted_ranges_as_symmetric_ones(self) -> None:
        layer = GRAPH.layer("conv").with_param(8, 2)
        weights = (
            make_weight("weight", np.zeros((3, 3, 3, 3)), Storage.INT8),
            layer.weight("bias"),
            make_weight("weight_scales", np.float32([10, 20, 30]), Storage.UNTAGGED),
            make_weight("input_scales", np.float32([5]), Storage.UNTAGGED),
        )
        graph = GRAPH.with_layer(replace(layer, weights=weights))
        fc = GRAPH.layer("fc").with_param(8, 2)
        scaled = (
            make_weight("weight", np.zeros((2, 3)), Storage.INT8),
            fc.weight("bias"),
            make_weight("weight_scales", np.float32([1, 2]), Storage.UNTAGGED),
            make_weight("input_scales", np.float32([42.333332]), Storage.UNTAGGED),
        )
        graph = graph.with_layer(replace(fc, weights=scaled))
        # Its symmetric equivalent is [-6, 6].
        shifted = Encoding(scale=127 / 3, direction=-1, middle=3.0)
        choices = (
            LayerChoice(name="conv", type="Convolution", int8=True, input=Encoding(scale=5.0)),
            LayerChoice(name="dw", type="ConvolutionDepthWise", int8=False, reason="put back"),
            LayerChoice(name="fc", type="InnerProduct", int8=True, input=shifted),
        )
        table = table_of(Int8Model(graph=graph, layers=choices, encodings={}))
        assert table.weight_scales == {("conv", 0): (10.0, 20.0, 30.0), ("fc", 0): (1.0, 2.0)}
        assert table.input_scales["conv"] == 5.0
        assert table.input_scales["fc"] == pytest.approx(127 / 6)
        require_fit(table, GRAPH)
