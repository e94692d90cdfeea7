"""The .param reader and writer: byte-for-byte round trips, formatting by rule, errors with line numbers."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedeploy.errors import ParamSyntaxError
from edgedeploy.graph import Graph, Layer, Param, format_param, format_token, parse_param

STANDARD = """7767517
5 6
Input                    in0                      0 1 in0
Convolution              conv_0                   1 1 in0 1 0=16 1=3 5=1 6=432 9=2 -23310=1,2.000000e-01
Split                    splitncnn_0              1 2 1 2 3
BinaryOp                 mul_0                    1 1 2 4 0=2 1=1 2=0.943169057
Reshape                  reshape_0                1 1 3 out0 0=-1 6="0c,1w" -23330=4,1,5,0,0
"""

ODD_FORMS = {
    "windows line ends": STANDARD.replace("\n", "\r\n"),
    "tabs and single blanks": STANDARD.replace("                ", "\t").replace("  ", " "),
    "no newline at the end": STANDARD.removesuffix("\n"),
    "blanks at line ends": STANDARD.replace("0=16", "0=16  ").replace("2 3\n", "2 3 \n"),
    "empty lines": STANDARD.replace("\nSplit", "\n\n \nSplit") + "\n \n",
    "spare blobs": STANDARD.replace("5 6", "5 9"),
    "blanks in the header": STANDARD.replace("5 6", " 5   6 "),
    "new-style arrays": STANDARD.replace("-23310=1,2.000000e-01", "10=2.000000e-01,"),
    "repeated key": STANDARD.replace("0=16", "0=8 0=16"),
}


@pytest.mark.parametrize("text", [STANDARD, *ODD_FORMS.values()], ids=["standard", *ODD_FORMS])
def test_unmodified_text_round_trips_byte_for_byte(text: str) -> None:
    assert format_param(parse_param(text)) == text


def test_values_are_read_by_kind() -> None:
    graph = parse_param(STANDARD)
    conv = graph.layer("conv_0")
    assert (conv.integer(0, 0), conv.integer(7, 1)) == (16, 1)
    assert conv.param(10) == (0.2,)
    assert graph.layer("mul_0").param(2) == 0.943169057
    assert graph.layer("mul_0").integer(2, 7) == 7, "a float read as an integer is the default, as in the engine"
    assert graph.layer("reshape_0").param(6) == "0c,1w"
    assert graph.layer("reshape_0").param(30) == (1, 5, 0, 0)
    assert parse_param(ODD_FORMS["new-style arrays"]).layer("conv_0").param(10) == (0.2,)
    assert parse_param(ODD_FORMS["repeated key"]).layer("conv_0").param(0) == 16


def test_wiring_is_read() -> None:
    graph = parse_param(STANDARD)
    assert graph.inputs == ("in0",)
    assert set(graph.outputs) == {"4", "out0"}
    assert graph.layer("splitncnn_0").outputs == ("2", "3")


def test_a_changed_value_is_formatted_by_rule_and_nothing_else_moves() -> None:
    graph = parse_param(ODD_FORMS["tabs and single blanks"])
    changed = graph.with_layer(graph.layer("mul_0").with_param(2, 0.5))
    assert format_param(changed) == ODD_FORMS["tabs and single blanks"].replace("2=0.943169057", "2=5.00000000e-01")


def test_a_new_key_goes_to_the_end_of_the_line() -> None:
    graph = parse_param(STANDARD)
    changed = graph.with_layer(graph.layer("conv_0").with_param(8, 2))
    assert format_param(changed) == STANDARD.replace("2.000000e-01\n", "2.000000e-01 8=2\n")


def test_counts_follow_the_layers() -> None:
    graph = parse_param(STANDARD)
    extra = Layer(type="ReLU", name="relu", inputs=("4",), outputs=("5",))
    text = format_param(Graph(layers=(*graph.layers, extra)))
    assert text.splitlines()[1] == "6 7"
    assert text.splitlines()[-1] == "ReLU                     relu                     1 1 4 5"
    assert parse_param(text).layer("relu") == extra


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_float32_survives_text_exactly_in_fifteen_characters(value: float) -> None:
    token = format_token(3, value)
    assert len(token.partition("=")[2]) <= 15
    back = parse_param(STANDARD.replace("0=16", token)).layer("conv_0").param(3)
    assert isinstance(back, float)
    assert struct.pack("<f", back) == struct.pack("<f", value)


@given(st.lists(st.integers(-(2**31), 2**31 - 1)).map(tuple))
def test_integer_arrays_survive(values: tuple[int, ...]) -> None:
    token = format_token(9, values)
    assert parse_param(STANDARD.replace("9=2", token)).layer("conv_0").param(9) == values


@pytest.mark.parametrize("value", [2**31, math.inf, math.nan, 'a"b', (1, 2**40)])
def test_values_the_format_cannot_hold_are_refused(value: int | float | str | tuple[int, ...]) -> None:
    with pytest.raises(ParamSyntaxError):
        format_token(0, value)


BROKEN = {
    "empty file": ("", 1),
    "other magic": (STANDARD.replace("7767517", "7767516"), 1),
    "binary": ("\x00\x01\x02", 1),
    "no counts": ("7767517\n", 2),
    "counts are words": (STANDARD.replace("5 6", "five 6"), 2),
    "too few layers follow": (STANDARD.replace("5 6", "6 6"), 2),
    "too few blobs announced": (STANDARD.replace("5 6", "5 5"), 2),
    "no layers": ("7767517\n0 0\n", 2),
    "line cut after the name": (STANDARD.replace(" 1 2 1 2 3", ""), 5),
    "names missing": (STANDARD.replace("1 2 1 2 3", "1 3 1 2 3"), 5),
    "negative count": (STANDARD.replace("1 2 1 2 3", "-1 2 2 3"), 5),
    "blob nobody makes": (STANDARD.replace("1 1 2 4", "1 1 77 4"), 6),
    "blob made twice": (STANDARD.replace("1 1 2 4", "1 1 2 3"), 6),
    "key out of range": (STANDARD.replace("0=16", "32=16"), 4),
    "no value": (STANDARD.replace("0=16", "0="), 4),
    "no key": (STANDARD.replace("0=16", "=16"), 4),
    "not a number": (STANDARD.replace("0=16", "0=1x6"), 4),
    "two points": (STANDARD.replace("0=16", "0=1.6.0"), 4),
    "integer overflow": (STANDARD.replace("0=16", "0=2147483648"), 4),
    "array too short": (STANDARD.replace("-23310=1,", "-23310=2,"), 4),
    "array element missing": (STANDARD.replace("-23310=1,2.000000e-01", "-23310=2,,1"), 4),
    "string without end": (STANDARD.replace('"0c,1w"', '"0c'), 7),
}


@pytest.mark.parametrize(("text", "line"), BROKEN.values(), ids=BROKEN)
def test_damage_is_named_by_line(text: str, line: int) -> None:
    with pytest.raises(ParamSyntaxError, match=rf"^line {line}:") as caught:
        parse_param(text)
    assert caught.value.hint


@given(st.integers(0, len(STANDARD) - 2))
def test_a_file_cut_anywhere_is_an_error_or_a_shorter_last_line(cut: int) -> None:
    last_line = STANDARD.rindex("Reshape")
    if cut > last_line:
        return
    with pytest.raises(ParamSyntaxError):
        parse_param(STANDARD[:cut])


_NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"], exclude_characters='="'), min_size=1)
_VALUES = (
    st.integers(-(2**31), 2**31 - 1)
    | st.floats(width=32, allow_nan=False, allow_infinity=False)
    | st.lists(st.integers(-1000, 1000)).map(tuple)
    | st.lists(st.floats(width=16, allow_nan=False, allow_infinity=False), min_size=1).map(tuple)
    | st.from_regex(r"[a-z ,]{0,20}", fullmatch=True)
)
_LAYERS = st.builds(
    Layer,
    type=st.just("Reshape"),
    name=_NAMES,
    params=st.dictionaries(st.integers(0, 31), _VALUES).map(
        lambda items: tuple(Param(key=key, value=value) for key, value in items.items())
    ),
)


@given(st.lists(_LAYERS, min_size=1, max_size=5).map(tuple))
def test_any_graph_survives_text(layers: tuple[Layer, ...]) -> None:
    text = format_param(Graph(layers=layers))
    again = parse_param(text)
    assert format_param(again) == text
    assert [layer.name for layer in again.layers] == [layer.name for layer in layers]
    for found, made in zip(again.layers, layers, strict=True):
        assert [(item.key, item.value) for item in found.params] == [
            (item.key, _as_float32(item.value)) for item in made.params
        ]


def _as_float32(value: object) -> object:
    """Nine digits carry a float32 exactly, not its digits as a double."""
    if isinstance(value, float):
        return float(f"{value:.8e}")
    if isinstance(value, tuple):
        return tuple(_as_float32(item) for item in value)
    return value


@pytest.mark.parametrize("old", ["5 6", "1 1 2 4 0=2", "6=432", "9=2", "-23330=4,1"])
def test_endless_numbers_are_syntax_errors(old: str) -> None:
    digit = old[-1]
    assert STANDARD.count(old) >= 1
    with pytest.raises(ParamSyntaxError):
        parse_param(STANDARD.replace(old, old[:-1] + digit * 5000, 1))
