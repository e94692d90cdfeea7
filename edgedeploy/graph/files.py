"""A graph's two files."""

from __future__ import annotations

from pathlib import Path

from edgedeploy.errors import MissingFileError, ParamSyntaxError
from edgedeploy.files import write_whole
from edgedeploy.graph.model import Graph
from edgedeploy.graph.param import format_param, parse_param
from edgedeploy.graph.weights import attach_weights, weights_bytes
from edgedeploy.reading import MIB, read_limited

PARAM_LIMIT_BYTES = 8 * MIB


def read_graph(param: Path, weights: Path | None = None) -> Graph:
    """Read a ``.param`` file and, where given, its ``.bin`` file.

    Raises:
        MissingFileError: One of the files does not exist.
        ParamSyntaxError: The text is damaged.
        TruncatedWeightsError: The weights do not fit the text.
        UnsupportedOperatorError: Weights were asked for and a layer type is unknown.
    """
    try:
        # Bytes outside UTF-8 in names survive the way back.
        graph = parse_param(_bytes_of(param, PARAM_LIMIT_BYTES).decode("utf-8", errors="surrogateescape"))
    except ParamSyntaxError as error:
        raise ParamSyntaxError(f"{param}: {error.message}", hint=error.hint) from None
    return graph if weights is None else attach_weights(graph, _bytes_of(weights))


def write_graph(graph: Graph, param: Path, weights: Path) -> None:
    """Write both files; each appears whole or not at all."""
    write_whole(weights, weights_bytes(graph))
    write_whole(param, format_param(graph).encode("utf-8", errors="surrogateescape"))


def _bytes_of(path: Path, limit_bytes: int | None = None) -> bytes:
    try:
        return path.read_bytes() if limit_bytes is None else read_limited(path, limit_bytes)
    except (FileNotFoundError, IsADirectoryError):
        raise MissingFileError(
            f"{path} does not exist", hint="convert the model again, or name the right file"
        ) from None
    except OSError as error:
        raise MissingFileError(
            f"{path} cannot be read: {error.strerror}", hint="convert the model again, or name the right file"
        ) from None
