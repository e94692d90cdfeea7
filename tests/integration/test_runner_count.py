"""The on-board program's marked inferences, counted under qemu-aarch64."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from block_counting import Dump, count
from runner_program import Runner

pytestmark = pytest.mark.cross

BOUNDARY, OUTSIDE = 0, 1


def inside(layer: int) -> int:
    return 2 + 2 * layer


def after(layer: int) -> int:
    return 3 + 2 * layer


@pytest.fixture
def counted(runner: Runner, block_counter: Path, tmp_path: Path) -> Any:
    """Runs ``count`` in a window and returns the document and the dump."""

    def run(
        release: Path, window: str, *options: str | Path, runs: int = 1, threads: int = 1
    ) -> tuple[dict[str, Any], Dump]:
        words = ("count", "--release", release, "--runs", str(runs), "--threads", str(threads), *options)
        answer = count(block_counter, tmp_path / "dump", window, runner.program, *words)
        return json.loads(answer.stdout), answer.dump

    return run


def test_the_document_lists_the_layers_that_bench_lists(runner: Runner, mixed_release: Path, counted: Any) -> None:
    document, _ = counted(mixed_release, "from=0,to=1", runs=3)
    identity = runner.document("version")
    assert list(document) == ["schema", "runner", "engine", "threads", "runs", "layers"]
    assert document["schema"] == 1
    assert (document["runner"], document["engine"]) == (identity["runner"], identity["engine"])
    assert (document["threads"], document["runs"]) == (1, 3)
    bench = runner.document("bench", "--release", mixed_release, "--runs", "1", "--layers", core="cortex-a53")
    times = {"median_us", "min_us", "runs"}
    assert document["layers"] == [
        {key: value for key, value in layer.items() if key not in times} for layer in bench["layers"]
    ]
    assert {layer["implementation"] for layer in document["layers"]} == {"edgedeploy", "ncnn"}


def test_every_layer_has_its_slots_in_the_order_of_the_run(mixed_release: Path, counted: Any) -> None:
    document, dump = counted(mixed_release, "from=1,to=3", runs=3)
    assert dump.boundaries == 4
    # Of those that the outputs need: the release has a branch that leads to none.
    layers = [layer["index"] for layer in document["layers"] if layer["name"] != "end"]
    assert len(layers) == 5
    assert dump.sequence == [OUTSIDE, *(slot for layer in layers for slot in (inside(layer), after(layer)))]
    assert dump.slots == {BOUNDARY, *dump.sequence}


def test_our_kernel_counts_for_its_layers_alone(runner_symbols: Path, mixed_release: Path, counted: Any) -> None:
    """By the names of functions, which the build keeps beside the stripped program."""
    kernel = _function(runner_symbols, "conv_s8_4x8_neon")
    document, dump = counted(mixed_release, "from=0,to=1")
    ours = {inside(layer["index"]) for layer in document["layers"] if layer["implementation"] == "edgedeploy"}
    places = [slot for (address, _), counts in dump.counts.items() if address in kernel for slot, _ in counts]
    assert set(places) == ours != set()


def _function(symbols: Path, name: str) -> range:
    """The addresses of the one function of a name."""
    entries = (line.split(" ", 2) for line in symbols.read_text(encoding="utf-8").splitlines())
    ((address, size),) = ((int(entry[0], 16), int(entry[1], 16)) for entry in entries if entry[2] == name)
    return range(address, address + size)


def test_two_executions_count_the_same(classifier_release: Path, counted: Any) -> None:
    first, second = (counted(classifier_release, "from=1,to=2", runs=2) for _ in range(2))
    assert first == second


def test_a_window_is_the_difference_of_two_processes(classifier_release: Path, counted: Any) -> None:
    _, window = counted(classifier_release, "from=1,to=3", runs=3)
    _, long = counted(classifier_release, "from=0,to=3", runs=3)
    _, short = counted(classifier_release, "from=0,to=1", runs=1)
    difference = long.flat()
    difference.subtract(short.flat())
    assert window.flat() == Counter({key: value for key, value in difference.items() if value != 0})


def test_caches_are_simulated_for_every_slot(classifier_release: Path, counted: Any) -> None:
    document, dump = counted(classifier_release, "from=1,to=2,l1d=32x4,l2=512x16", runs=2)
    for layer in document["layers"]:
        loads, stores, l1, l1_stream, l2, l2_stream = dump.memory[inside(layer["index"])]
        assert min(loads, stores) > 0
        assert loads + stores > l1 >= l1_stream
        assert l1 >= l2 >= l2_stream
    # The second run finds the small model in the second level.
    _, first = counted(classifier_release, "from=0,to=1,l1d=32x4,l2=512x16")
    misses, first_misses = (sum(memory[4] for memory in each.memory.values()) for each in (dump, first))
    assert misses < first_misses


def test_threads_are_counted_apart(mixed_release: Path, counted: Any) -> None:
    document, dump = counted(mixed_release, "from=1,to=2", runs=2, threads=2)
    assert document["threads"] == 2
    assert dump.vcpus == 2
    assert {vcpu for counts in dump.counts.values() for _, vcpu in counts} == {0, 1}


@pytest.mark.parametrize("options", [(), ("--disable-layers",)])
def test_marked_layers_compute_the_same_bits(
    runner: Runner, mixed_release: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    inputs = [word for name in ("in0", "in1") for word in ("--input", f"{name}={mixed_release}/golden/{name}.npy")]
    for command in ("infer", "count"):
        runner.document(command, "--release", mixed_release, *inputs, "--output-dir", tmp_path / command, *options)
    for name in ("out0", "out1"):
        plain, marked = (np.load(tmp_path / command / f"{name}.npy") for command in ("infer", "count"))
        np.testing.assert_array_equal(plain.view(np.uint32), marked.view(np.uint32))


def test_other_commands_mark_nothing(
    runner: Runner, block_counter: Path, classifier_release: Path, tmp_path: Path
) -> None:
    words = ("bench", "--release", classifier_release, "--runs", "1", "--layers")
    dump = count(block_counter, tmp_path / "dump", "from=0,to=1", runner.program, *words).dump
    assert (dump.boundaries, dump.counts) == (0, {})


def test_two_runs_unless_said_otherwise(runner: Runner, classifier_release: Path) -> None:
    assert runner.document("count", "--release", classifier_release)["runs"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "'count' needs --release DIR"),
        (("--release", "{release}", "--runs", "0"), "--runs: '0' is not a whole number"),
        (("--release", "{release}", "--threads", "x"), "--threads: 'x' is not a whole number"),
        (("--release", "{release}", "--warmup", "1"), "'count' does not take '--warmup'"),
        (("--release", "{release}", "--layers"), "'count' does not take '--layers'"),
        (("--release", "{release}", "--input", "nope={release}/golden/in0.npy"), "--input names an input"),
    ],
)
def test_bad_options_are_usage_errors(
    runner: Runner, classifier_release: Path, options: tuple[str, ...], message: str
) -> None:
    answer = runner("count", *(option.format(release=classifier_release) for option in options))
    assert answer.exit_status == 2
    assert message in answer.error
    assert answer.stdout == ""
