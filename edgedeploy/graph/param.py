"""Reads and writes ``.param`` text.

Source: ``Net::load_param`` and ``ParamDict::load_param`` of the engine (1.0.20261020). Where the engine takes a broken
file in silence (a blob that nobody makes, a wrong layer count) this reader is stricter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from edgedeploy.errors import ParamSyntaxError
from edgedeploy.graph.model import Graph, Layer, Param, ParamValue

MAGIC = "7767517"
MAX_KEY = 31
OLD_ARRAY_BASE = -23300
INT32_MAX = 2**31 - 1

_CONVERT_AGAIN = "the file is damaged; convert the model again"

# A quoted string may hold blanks; every other token ends at one.
_TOKEN = re.compile(r'[-+]?\d+="[^"]*"|[^ \t\v\f\r]+')
# Ten digits hold every 32-bit number; int() itself refuses thousands of them.
_INTEGER = re.compile(r"[-+]?[0-9]{1,10}")
_COUNT = re.compile(r"0|[1-9][0-9]{0,9}")
_FLOAT = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_WORD = re.compile(r"[A-Za-z][^ \t\v\f]*")
_FLOAT_MARKS = frozenset(".eE")


def parse_param(text: str) -> Graph:
    """Parse a whole ``.param`` file.

    Args:
        text: The file's text; line ends may be ``\\n`` or ``\\r\\n``.

    Returns:
        A graph without weights. ``format_param`` gives back ``text`` exactly.

    Raises:
        ParamSyntaxError: With the line number and the offending token.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.split(newline)
    if lines[0].strip() != MAGIC:
        raise ParamSyntaxError(
            f"line 1: the file starts with {lines[0][:40]!r} instead of {MAGIC}",
            hint="this is not a text .param file of ncnn, or one from before 2017",
        )
    counts = lines[1].split() if len(lines) > 1 else []
    if len(counts) != 2 or not all(_COUNT.fullmatch(item) for item in counts):
        raise ParamSyntaxError(
            f"line 2: expected the numbers of layers and blobs, found {' '.join(counts)[:40]!r}", hint=_CONVERT_AGAIN
        )
    layers, tail = _parse_layers(lines, newline)
    layer_count, blob_count = (int(item) for item in counts)
    if layer_count != len(layers):
        raise ParamSyntaxError(
            f"line 2: {layer_count} layers are announced, {len(layers)} follow",
            hint="the file is cut short or was edited by hand without changing line 2",
        )
    graph = Graph(layers=layers, header=newline.join(lines[:2]), newline=newline, tail=tail)
    graph.check_wiring()
    if blob_count < len(graph.blobs):
        raise ParamSyntaxError(
            f"line 2: {blob_count} blobs are announced, the layers make {len(graph.blobs)}",
            hint=f"write {layer_count} {len(graph.blobs)} in line 2",
        )
    return replace(graph, spare_blobs=blob_count - len(graph.blobs))


def format_param(graph: Graph) -> str:
    """Return the text of a graph; the inverse of ``parse_param``."""
    counts = [str(len(graph.layers)), str(len(graph.blobs) + graph.spare_blobs)]
    kept = graph.header.split() == [MAGIC, *counts]
    header = graph.header if kept else MAGIC + graph.newline + " ".join(counts)
    return graph.newline.join([header, *(_format_layer(layer) for layer in graph.layers)]) + graph.tail


def format_token(key: int, value: ParamValue) -> str:
    """Return ``key=value`` as every reader of the format understands it.

    Floats get nine significant digits, which is exact for float32, and exponents: the engine's readers of earlier years
    take 15 characters at most.

    Example:
        >>> format_token(0, 0.1), format_token(9, (1, 2))
        ('0=1.00000000e-01', '-23309=2,1,2')

    Raises:
        ParamSyntaxError: A value the format cannot hold.
    """
    if isinstance(value, tuple):
        return ",".join([f"{OLD_ARRAY_BASE - key}={len(value)}", *(_format_number(item) for item in value)])
    if isinstance(value, str):
        if '"' in value or "\n" in value or len(value) > 255:
            raise ParamSyntaxError(f"the string {value!r} cannot be written to a .param file", hint="use a plain word")
        return f'{key}="{value}"'
    return f"{key}={_format_number(value)}"


def _parse_layers(lines: Sequence[str], newline: str) -> tuple[tuple[Layer, ...], str]:
    """Return the layers, and what follows the last one's line. Empty lines belong to the spacing of the next layer."""
    layers: list[Layer] = []
    end = 2
    for index, line in enumerate(lines):
        if index >= 2 and line.strip():
            blanks = "".join(gap + newline for gap in lines[end:index])
            layers.append(_parse_layer(line, index + 1, blanks))
            end = index + 1
    if not layers:
        raise ParamSyntaxError("line 2: no layers follow", hint=_CONVERT_AGAIN)
    return tuple(layers), "".join(newline + gap for gap in lines[end:])


def _parse_layer(line: str, number: int, blanks_before: str) -> Layer:
    tokens = [match.group() for match in _TOKEN.finditer(line)]
    if len(tokens) < 4:
        raise ParamSyntaxError(
            f"line {number}: a layer needs type, name and two counts, found {line.strip()[:60]!r}", hint=_CONVERT_AGAIN
        )
    input_count, output_count = (_count(token, number) for token in tokens[2:4])
    outputs_at = 4 + input_count
    params_at = outputs_at + output_count
    if len(tokens) < params_at or any("=" in name for name in tokens[4:params_at]):
        raise ParamSyntaxError(
            f"line {number}: layer {tokens[1]} announces {input_count} inputs and {output_count} outputs, names fewer",
            hint=_CONVERT_AGAIN,
        )
    layer = Layer(
        type=tokens[0],
        name=tokens[1],
        inputs=tuple(tokens[4:outputs_at]),
        outputs=tuple(tokens[outputs_at:params_at]),
        params=tuple(_parse_token(token, number) for token in tokens[params_at:]),
        line=number,
    )
    if blanks_before + line == _format_layer(layer):
        return layer
    first_gap, *gaps = _spacing(line)
    return replace(layer, spacing=(blanks_before + first_gap, *gaps))


def _spacing(line: str) -> tuple[str, ...]:
    gaps: list[str] = []
    end = 0
    for match in _TOKEN.finditer(line):
        gaps.append(line[end : match.start()])
        end = match.end()
    return (*gaps, line[end:])


def _count(token: str, number: int) -> int:
    if not _COUNT.fullmatch(token):
        raise ParamSyntaxError(f"line {number}: {token[:60]!r} is not a count of blobs", hint=_CONVERT_AGAIN)
    return int(token)


def _parse_token(token: str, number: int) -> Param:
    head, separator, body = token.partition("=")
    if not separator or not _INTEGER.fullmatch(head) or not body:
        raise ParamSyntaxError(f"line {number}: {token[:60]!r} is not key=value", hint=_CONVERT_AGAIN)
    key = int(head)
    old_array = key <= OLD_ARRAY_BASE
    key = OLD_ARRAY_BASE - key if old_array else key
    if not 0 <= key <= MAX_KEY:
        raise ParamSyntaxError(f"line {number}: key {head} is outside 0..{MAX_KEY}", hint=_CONVERT_AGAIN)
    if old_array:
        return Param(key=key, value=_old_array(body, token, number), text=token)
    return Param(key=key, value=_value(body, token, number), text=token)


def _old_array(body: str, token: str, number: int) -> ParamValue:
    length, *items = body.split(",")
    if not _COUNT.fullmatch(length) or int(length) != len(items):
        raise ParamSyntaxError(
            f"line {number}: {token[:60]!r} announces {length} elements and has {len(items)}", hint=_CONVERT_AGAIN
        )
    return _array(items, token, number)


def _value(body: str, token: str, number: int) -> ParamValue:
    if body.startswith('"'):
        if len(body) < 2 or not body.endswith('"'):
            raise ParamSyntaxError(f"line {number}: the string in {token[:60]!r} has no end", hint=_CONVERT_AGAIN)
        return body[1:-1]
    if _WORD.fullmatch(body):
        return body
    if "," in body:
        # One element is written with a comma behind it.
        return _array(body.removesuffix(",").split(","), token, number)
    return _number(body, token, number)


def _array(items: Sequence[str], token: str, number: int) -> tuple[int, ...] | tuple[float, ...]:
    values = [_number(item, token, number) for item in items]
    if any(isinstance(item, float) for item in values):
        return tuple(float(item) for item in values)
    return tuple(int(item) for item in values)


def _number(text: str, token: str, number: int) -> int | float:
    if _FLOAT_MARKS.intersection(text) and _FLOAT.fullmatch(text):
        return float(text)
    if _INTEGER.fullmatch(text) and -INT32_MAX - 1 <= int(text) <= INT32_MAX:
        return int(text)
    raise ParamSyntaxError(f"line {number}: {text[:40]!r} in {token[:60]!r} is not a number", hint=_CONVERT_AGAIN)


def _format_number(value: int | float) -> str:
    if isinstance(value, int):
        if not -INT32_MAX - 1 <= value <= INT32_MAX:
            raise ParamSyntaxError(f"{value} does not fit the 32 bits of a .param integer", hint="use a smaller number")
        return str(int(value))
    if not math.isfinite(value):
        raise ParamSyntaxError(f"a .param file cannot hold {value}", hint="a pass computed a value that is not finite")
    return f"{value:.8e}"


def _format_layer(layer: Layer) -> str:
    names = [*layer.inputs, *layer.outputs]
    params = [item.text or format_token(item.key, item.value) for item in layer.params]
    tokens = [layer.type, layer.name, str(len(layer.inputs)), str(len(layer.outputs)), *names, *params]
    if layer.spacing is not None and len(layer.spacing) == len(tokens) + 1:
        return "".join(gap + token for gap, token in zip(layer.spacing, tokens, strict=False)) + layer.spacing[-1]
    return " ".join([f"{layer.type:<24} {layer.name:<24}", *tokens[2:]])
