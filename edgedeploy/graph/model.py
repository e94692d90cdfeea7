"""The data model of an ncnn network: frozen dataclasses, edited by making changed copies.

Text and weights remember how they were written (``Param.text``, ``Layer.spacing``, ``Weight.tag`` and padding), so that
what nobody changed is written back byte for byte; changed parts are formatted by rule.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from edgedeploy.errors import ParamSyntaxError
from edgedeploy.graph.storage import Weight

ParamValue = int | float | str | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Param:
    """One ``key=value`` of a layer.

    Args:
        key: 0 to 31; 30 holds shape hints, 31 the feature mask.
        value: int, float, string, or a tuple of ints or of floats.
        text: The token it was read from, such as ``-23310=1,2.0e-01``; empty for values set by a program.
    """

    key: int
    value: ParamValue
    text: str = field(default="", compare=False)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One line of the ``.param`` file and its part of the ``.bin`` file.

    Args:
        type: The engine's layer type, for example ``Convolution``.
        spacing: The blanks before each token and at the line's end, where they differ from the standard columns.
        line: Line number it was read from, for messages; 0 for layers made by a program.
    """

    type: str
    name: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    params: tuple[Param, ...] = ()
    weights: tuple[Weight, ...] = ()
    spacing: tuple[str, ...] | None = field(default=None, compare=False)
    line: int = field(default=0, compare=False)

    def param(self, key: int) -> ParamValue | None:
        """Return the value under a key, or None. As in the engine the last of a repeated key counts."""
        for item in reversed(self.params):
            if item.key == key:
                return item.value
        return None

    def integer(self, key: int, default: int) -> int:
        """Return an integer parameter; like the engine, take the default where the value is of another kind."""
        value = self.param(key)
        return value if isinstance(value, int) else default

    def weight(self, name: str) -> Weight:
        """Return a weight by its name in the layout table, such as ``bias``.

        Raises:
            KeyError: The layer has no weight of that name.
        """
        for item in self.weights:
            if item.name == name:
                return item
        raise KeyError(f"layer {self.name} ({self.type}) has no weight {name}")

    def with_param(self, key: int, value: ParamValue) -> Layer:
        """Return a copy with one parameter set; the others keep their text and order, a new key goes to the end."""
        changed = Param(key=key, value=value)
        if self.param(key) is None:
            return replace(self, params=(*self.params, changed))
        return replace(self, params=tuple(changed if item.key == key else item for item in self.params))

    def with_weight(self, weight: Weight) -> Layer:
        """Return a copy with the weight of that name replaced."""
        self.weight(weight.name)
        return replace(self, weights=tuple(weight if item.name == weight.name else item for item in self.weights))


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A whole network, layers in execution order.

    Args:
        spare_blobs: How many blobs the file declares beyond those its layers name.
        newline: ``\\n`` or ``\\r\\n``.
        header: The first two lines as they were read; used again while the counts in them are right.
        tail: What follows the last layer's text: normally one newline.
    """

    layers: tuple[Layer, ...]
    spare_blobs: int = field(default=0, compare=False)
    header: str = field(default="", compare=False)
    newline: str = field(default="\n", compare=False)
    tail: str = field(default="\n", compare=False)

    @property
    def blobs(self) -> tuple[str, ...]:
        """Every blob's name in the order of production."""
        return tuple(name for layer in self.layers for name in layer.outputs)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the network's input blobs."""
        return tuple(name for layer in self.layers if layer.type == "Input" for name in layer.outputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the blobs that no layer reads, in the order of production (not the source model's order)."""
        read = {name for layer in self.layers for name in layer.inputs}
        return tuple(name for name in self.blobs if name not in read)

    def layer(self, name: str) -> Layer:
        """Return a layer by name.

        Raises:
            KeyError: There is no such layer.
        """
        for item in self.layers:
            if item.name == name:
                return item
        raise KeyError(f"the graph has no layer {name}")

    def with_layer(self, layer: Layer) -> Graph:
        """Return a copy with the layer of that name replaced."""
        self.layer(layer.name)
        return replace(self, layers=tuple(layer if item.name == layer.name else item for item in self.layers))

    def check_wiring(self) -> None:
        """Check that every blob is made once, and before it is read.

        Raises:
            ParamSyntaxError: With the line of the first layer that breaks the rule.
        """
        made: set[str] = set()
        for layer in self.layers:
            for name in layer.inputs:
                if name not in made:
                    raise ParamSyntaxError(
                        f"line {layer.line}: layer {layer.name} reads blob {name}, which no layer before it makes",
                        hint="layers stand in execution order; convert the model again",
                    )
            for name in layer.outputs:
                if name in made:
                    raise ParamSyntaxError(
                        f"line {layer.line}: layer {layer.name} makes blob {name} a second time",
                        hint="every blob has one producer; convert the model again",
                    )
                made.add(name)
