"""A net of several int8 layers as it grows, and what numpy makes of each of its blobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from runner_halves_reference import halves_of
from runner_layer_cases import RELU, SEED, batched
from runner_layer_reference import Codes, Halves, outputs_of
from runner_models import ConvolutionCase, FloatArray, Int8Arrays, NetWriter, add_convolution, random_arrays
from runner_pooling import PoolWindow
from runner_program import Runner
from runner_release import write_release

OUTPUTS = ("out_a", "out_b", "out_c")


@dataclass(kw_only=True)
class Chain:
    """A net as it grows, and what numpy makes of each blob."""

    image: FloatArray
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(SEED))
    net: NetWriter = field(default_factory=NetWriter)
    blobs: dict[str, FloatArray | Codes | Halves] = field(default_factory=dict)
    not_negative: set[str] = field(default_factory=set)
    read_at: dict[str, float] = field(default_factory=dict)
    halves_of_core: str | None = None
    """The core on whose halves its float blobs of whole eights of channels are kept; None: float32."""

    def __post_init__(self) -> None:
        self.net.layer("Input", "in0", [], ["in0"])
        self.blobs["in0"] = self.image

    def convolution(
        self,
        bottom: str,
        top: str,
        channels_out: int,
        *,
        read_at: float | None = None,
        change: Callable[[Int8Arrays], Int8Arrays] = lambda arrays: arrays,
        **how: Any,
    ) -> None:
        """Add a layer.

        Args:
            bottom: Its input.
            top: Its output, and its name.
            channels_out: Its channels of output.
            read_at: Of one that writes float, the scale at which all its readers quantize.
            change: What becomes of random arrays.
            how: Fields of ``ConvolutionCase``.
        """
        channels, height, width = self.blobs[bottom].shape
        case = ConvolutionCase(channels_in=channels, channels_out=channels_out, height=height, width=width, **how)
        arrays = random_arrays(case, self.rng)
        if bottom in self.read_at:
            arrays = replace(arrays, input_scale=np.float32(self.read_at[bottom]))
        arrays = change(arrays)
        add_convolution(self.net, case, self.rng, arrays=arrays, name=top, bottom=bottom, top=top)
        if read_at is not None:
            self.read_at[top] = read_at
            case = replace(case, requantizes=True)
            arrays = replace(arrays, output_scale=np.float32(read_at))
        known = {"not_negative": bottom in self.not_negative}
        in_halves = self.halves_of_core is not None and case.kind == "Convolution" and channels_out % 8 == 0
        if in_halves and not case.requantizes:
            self.blobs[top] = halves_of(case, arrays, self.blobs[bottom], core=self.halves_of_core, **known)
        else:
            self.blobs[top] = outputs_of(case, arrays, self.blobs[bottom], **known)
        if case.activation == RELU and case.kind != "InnerProduct":
            self.not_negative.add(top)

    def depthwise(self, bottom: str, top: str, **how: Any) -> None:
        channels = self.blobs[bottom].shape[0]
        self.convolution(bottom, top, channels, kind="ConvolutionDepthWise", groups=channels, **how)

    def split(self, bottom: str, *tops: str) -> None:
        self.net.layer("Split", f"split_{bottom}", [bottom], list(tops))
        self._same(bottom, *tops)

    def pool(self, bottom: str, top: str, window: PoolWindow) -> None:
        self.net.layer("Pooling", top, [bottom], [top], window.parameters)
        self._same(bottom, top)
        self.blobs[top] = window.maxima(self.blobs[bottom])

    def concat(self, bottoms: tuple[str, ...], top: str) -> None:
        self.net.layer("Concat", top, list(bottoms), [top], "0=0")
        self._same(bottoms[0], top)
        self.blobs[top] = np.concatenate([self.blobs[blob] for blob in bottoms])
        if not self.not_negative.issuperset(bottoms):
            self.not_negative.discard(top)

    def _same(self, bottom: str, *tops: str) -> None:
        """Give tops what is known of their bottom."""
        self.blobs.update(dict.fromkeys(tops, self.blobs[bottom]))
        if bottom in self.read_at:
            self.read_at.update(dict.fromkeys(tops, self.read_at[bottom]))
        if bottom in self.not_negative:
            self.not_negative.update(tops)


def write_chain(directory: Path, chain: Chain, precision: str = "fp32") -> Path:
    outputs = {name: chain.blobs[name].astype(np.float32) for name in OUTPUTS}
    write_release(directory, chain.net, inputs={"in0": batched(chain.image)}, outputs=outputs, precision=precision)
    return directory


def infer_chain(
    runner: Runner, release: Path, made: Path, *options: str, core: str, threads: str = "1"
) -> dict[str, FloatArray]:
    options = ("--input", f"in0={release}/golden/in0.npy", "--output-dir", str(made), "--threads", threads, *options)
    runner.document("infer", "--release", release, *options, core=core)
    return {name: np.load(made / f"{name}.npy") for name in OUTPUTS}
