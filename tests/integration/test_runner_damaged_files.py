"""The on-board program on damaged files: an answer, or one line of error and its exit code; never a crash."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fuzz_mutations import damaged
from hypothesis import HealthCheck, given, note, seed, settings
from runner_models import TAG_FLOAT32, TAG_INT8, ConvolutionCase, FloatArray, NetWriter, add_convolution
from runner_program import Answer, Runner
from runner_release import float_input, list_files, write_manifest, write_release

pytestmark = pytest.mark.cross

BEYOND_LIMITS, MODEL, MEMORY = 3, 6, 7
REFUSED = range(4, 9)
MORE_BYTES = 1_000_000_000
"""What a damaged file may take beside what a good one needs."""
STEP_BYTES = 16 << 20
SEED_VARIABLE = "EDGEDEPLOY_FUZZ_SEED"
RUNS = [
    pytest.param(15, 0, id="15"),
    pytest.param(300, int(os.environ.get(SEED_VARIABLE, time.time_ns())), id="300", marks=pytest.mark.nightly),
]
"""Inputs and their seed: the same ones always, and new ones every night, which the variable brings back."""
ARRAY = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
MANIFEST, PARAM, WEIGHTS = "manifest.json", "model/model.param", "model/model.bin"
ARRAYS = ("golden/in0.npy", "golden/out0.npy")


def _floats(store: Callable[[NetWriter, FloatArray], None]) -> NetWriter:
    rng = np.random.default_rng(1)
    net = NetWriter()
    net.layer("Input", "in0", [], ["in0"])
    net.layer("InnerProduct", "fc", ["in0"], ["mid"], "0=6 1=1 2=72 9=1")
    store(net, rng.normal(0, 0.3, 72).astype(np.float32))
    net.raw_floats(rng.normal(0, 0.1, 6).astype(np.float32))
    net.layer("Reshape", "cube", ["mid"], ["cube"], "0=1 1=2 2=3")
    net.layer("Convolution", "conv", ["cube"], ["out0"], "0=8 1=1 5=1 6=24")
    store(net, rng.normal(0, 0.3, 24).astype(np.float32))
    net.raw_floats(rng.normal(0, 0.1, 8).astype(np.float32))
    return net


def _int8() -> NetWriter:
    net = NetWriter()
    net.layer("Input", "in0", [], ["in0"])
    case = ConvolutionCase(channels_in=3, channels_out=8)
    add_convolution(net, case, np.random.default_rng(1), name="conv", bottom="in0", top="out0")
    return net


NETS: dict[str, Callable[[], NetWriter]] = {
    "fp32": lambda: _floats(NetWriter.tagged_floats),
    "fp16": lambda: _floats(NetWriter.tagged_halves),
    "int8": _int8,
}


class Release:
    """A good release of one precision, whose files can be damaged."""

    def __init__(self, directory: Path, runner: Runner, precision: str) -> None:
        self.directory, self._runner = directory, runner
        golden = np.zeros((8, 2, 2) if precision == "int8" else (8, 2, 1), np.float32)
        write_release(
            directory,
            NETS[precision](),
            inputs={"in0": float_input(ARRAY)},
            outputs={"out0": golden},
            precision="fp16" if precision == "fp16" else "fp32",
            limits=(-1, 1e6),
        )
        self._document = json.loads(self.path(MANIFEST).read_text(encoding="utf-8"))

    def path(self, name: str) -> Path:
        return self.directory / name

    def put(self, name: str, content: bytes) -> None:
        """Write a file; the manifest lists it as it is then."""
        self.path(name).write_bytes(content)
        if name != MANIFEST:
            list_files(self.directory, self._document)
            write_manifest(self.directory, self._document)

    def answer(self, memory_limit_bytes: int | None = None) -> Answer:
        return self._runner("selftest", "--release", self.directory, memory_limit_bytes=memory_limit_bytes)

    def needed_bytes(self) -> int:
        """The least address space, in steps, that the release passes in three times in a row.

        The emulator's own is in it: some 270 MB, most of which is its buffer for translated code. It reserves nothing
        for a 64-bit guest, so that a bound on its address space is one on the program's.
        """
        low, high = 0, (4 << 30) // STEP_BYTES
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._passes_in(middle) else (middle, high)
        # Where the emulator finds its places differs from run to run.
        while not all(self._passes_in(high) for _ in range(3)):
            high += 1
            assert high <= (4 << 30) // STEP_BYTES, "the undamaged release fails"
        return high * STEP_BYTES

    def _passes_in(self, steps: int) -> bool:
        return self.answer(steps * STEP_BYTES).exit_status == 0


@pytest.fixture(params=list(NETS))
def release(request: pytest.FixtureRequest, runner: Runner, tmp_path: Path) -> Release:
    return Release(tmp_path / "release", runner, request.param)


def _damage(release: Release, name: str, examples: int, number: int) -> None:
    bound_bytes = release.needed_bytes() + MORE_BYTES

    @seed(number)
    @settings(database=None, deadline=None, max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(damaged((release.path(name).read_bytes(),)))
    def holds(content: bytes) -> None:
        note(f"{SEED_VARIABLE}={number}")
        release.put(name, content)
        answer = release.answer(bound_bytes)
        if answer.exit_status in {0, BEYOND_LIMITS}:
            assert answer.document["passed"] == (answer.exit_status == 0)
        else:
            assert answer.exit_status in REFUSED, answer.stderr[-500:]
            assert answer.error
        # A graph can be a good one of a larger network; nothing else may so much as ask for more.
        assert answer.exit_status != MEMORY or name == PARAM, answer.stderr[-500:]

    holds()


@pytest.mark.parametrize(("examples", "number"), RUNS)
@pytest.mark.parametrize("name", [PARAM, WEIGHTS])
def test_damaged_models(release: Release, name: str, examples: int, number: int) -> None:
    _damage(release, name, examples, number)


@pytest.mark.parametrize(("examples", "number"), RUNS)
@pytest.mark.parametrize("name", [MANIFEST, *ARRAYS])
def test_damaged_manifests_and_arrays(name: str, runner: Runner, tmp_path: Path, examples: int, number: int) -> None:
    _damage(Release(tmp_path / "release", runner, "int8"), name, examples, number)


def test_a_good_release_needs_little_more_than_the_emulator(release: Release) -> None:
    assert release.needed_bytes() < 600_000_000


@pytest.mark.parametrize("tag", [None, 0x04030201], ids=["own", "table"])
@pytest.mark.parametrize("count", [96_000_000, 2_147_483_640])
def test_no_memory_is_taken_for_weights_that_are_not_there(release: Release, count: int, tag: int | None) -> None:
    tight_bytes = release.needed_bytes() + 8 * STEP_BYTES
    text = release.path(PARAM).read_text(encoding="ascii")
    for size in ("2=72", "6=24"):
        text = text.replace(size, f"{size[:2]}{count}")
    release.put(PARAM, text.encode("ascii"))
    if tag is not None:
        release.put(WEIGHTS, tag.to_bytes(4, "little") + release.path(WEIGHTS).read_bytes()[4:] + bytes(1024))
    answer = release.answer(tight_bytes)
    assert answer.exit_status == MODEL
    assert "before the layers have read their weights" in answer.error


def test_a_count_of_weights_below_zero_is_an_error(runner: Runner, tmp_path: Path) -> None:
    release = Release(tmp_path / "release", runner, "fp32")
    text = release.path(PARAM).read_text(encoding="ascii")
    release.put(PARAM, re.sub("InnerProduct .*", "PReLU fc 1 1 in0 mid 0=-5", text).encode("ascii"))
    answer = release.answer()
    assert answer.exit_status == MODEL
    assert "layer 'fc' wants a count of weights below zero" in answer.error


def test_int8_weights_of_a_float_layer_are_an_error_and_no_read_beyond_them(runner: Runner, tmp_path: Path) -> None:
    release = Release(tmp_path / "release", runner, "fp32")
    whole = release.path(WEIGHTS).read_bytes()
    assert whole.startswith(TAG_FLOAT32.to_bytes(4, "little"))
    release.put(WEIGHTS, TAG_INT8.to_bytes(4, "little") + whole[4:])
    for options in ((), ("--disable-layers",)):
        answer = runner("selftest", "--release", release.directory, *options)
        assert answer.exit_status == MODEL
        assert "has int8 weights for layer 'fc'" in answer.error
