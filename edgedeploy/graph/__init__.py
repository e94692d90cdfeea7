"""ncnn networks as data: ``.param`` and ``.bin`` read, changed and written."""

from __future__ import annotations

from edgedeploy.graph.check import check_graph
from edgedeploy.graph.files import read_graph, write_graph
from edgedeploy.graph.layer_types import known_layer_types
from edgedeploy.graph.model import Graph, Layer, Param, ParamValue
from edgedeploy.graph.param import format_param, format_token, parse_param
from edgedeploy.graph.storage import Storage, Weight, make_weight
from edgedeploy.graph.weights import attach_weights, require_known_types, weights_bytes

__all__ = [
    "Graph",
    "Layer",
    "Param",
    "ParamValue",
    "Storage",
    "Weight",
    "attach_weights",
    "check_graph",
    "format_param",
    "format_token",
    "known_layer_types",
    "make_weight",
    "parse_param",
    "read_graph",
    "require_known_types",
    "weights_bytes",
    "write_graph",
]
