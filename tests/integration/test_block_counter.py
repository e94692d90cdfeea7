"""The block counter on programs whose every execution is known."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest
from block_counting import (
    build_freestanding,
    count,
    cross_build,
    landmark,
    landmark_word,
    loop,
    mark,
    run_counted,
)

from edgedeploy.build.tools import find_tool
from edgedeploy.paths import resource_dir

pytestmark = pytest.mark.cross

BOUNDARY, OUTSIDE, INSIDE, AFTER = 0, 1, 2, 3
# Run number R works 10 * (R + 1) times in slot 2 and 7 times in slot 3.
RUNS = 4
STEP = 10


@pytest.fixture(scope="module")
def looping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four marked runs; landmark 1 before the first boundary and after the last, 2 inside a layer, 3 after it."""
    runs = "\n".join(
        f"""
        {mark(OUTSIDE)}
        {landmark(4)}
        {mark(INSIDE)}
        {loop(f"inside_{run}", STEP * (run + 1), 2)}
        {mark(AFTER)}
        {loop(f"after_{run}", 7, 3)}
        {mark(BOUNDARY)}"""
        for run in range(RUNS)
    )
    body = f"{loop('before', 5, 1)}\n{mark(BOUNDARY)}\n{runs}\n{loop('end', 5, 1)}"
    return build_freestanding(tmp_path_factory.mktemp("looping"), body)


@pytest.mark.parametrize(("begin", "end"), [(0, 1), (0, RUNS), (1, 3), (3, 4)])
def test_counts_are_exact_between_two_boundaries(
    block_counter: Path, looping: Path, tmp_path: Path, begin: int, end: int
) -> None:
    dump = count(block_counter, tmp_path / "dump", f"from={begin},to={end}", looping).dump
    assert dump.boundaries == RUNS + 1
    assert dump.vcpus == 1
    assert dump.sequence == [OUTSIDE, INSIDE, AFTER]
    assert dump.executions(landmark_word(1)) == Counter()
    assert dump.executions(landmark_word(2)) == {(INSIDE, 0): sum(STEP * (run + 1) for run in range(begin, end))}
    assert dump.executions(landmark_word(3)) == {(AFTER, 0): 7 * (end - begin)}
    assert dump.executions(landmark_word(4)) == {(OUTSIDE, 0): end - begin}
    assert dump.memory == {}


def test_a_window_that_never_ends_counts_to_the_programs_end(
    block_counter: Path, looping: Path, tmp_path: Path
) -> None:
    dump = count(block_counter, tmp_path / "dump", f"from={RUNS},to={RUNS + 1}", looping).dump
    assert dump.boundaries == RUNS + 1
    assert dump.sequence == []
    assert dump.executions(landmark_word(1)) == {(BOUNDARY, 0): 5}


def test_a_window_that_never_begins_counts_nothing(block_counter: Path, looping: Path, tmp_path: Path) -> None:
    dump = count(block_counter, tmp_path / "dump", f"from={RUNS + 1},to={RUNS + 2}", looping).dump
    assert (dump.boundaries, dump.sequence, dump.counts) == (RUNS + 1, [], {})


def test_a_program_without_marks_has_no_boundaries(block_counter: Path, tmp_path: Path) -> None:
    program = build_freestanding(tmp_path, loop("work", 100, 2))
    dump = count(block_counter, tmp_path / "dump", "from=0,to=1", program).dump
    assert (dump.boundaries, dump.sequence, dump.counts) == (0, [], {})


def test_blocks_are_where_the_program_has_them(block_counter: Path, looping: Path, tmp_path: Path) -> None:
    """Addresses and bytes against the program's file."""
    dump = count(block_counter, tmp_path / "dump", f"from=0,to={RUNS}", looping).dump
    listing = subprocess.run(
        [find_tool("aarch64-linux-gnu-objdump"), "-d", looping], capture_output=True, text=True, check=True
    ).stdout
    code = {}
    for line in listing.splitlines():
        address, colon, rest = line.partition(":\t")
        if colon:
            code[int(address, 16)] = int(rest.split()[0], 16)
    assert len(dump.counts) > 10
    for address, words in dump.counts:
        assert list(words) == [code[address + 4 * index] for index in range(len(words))]


def test_code_that_replaces_other_code_is_a_block_of_its_own(block_counter: Path, tmp_path: Path) -> None:
    """Landmark 2 is overwritten by landmark 3; each has its executions, at one address."""
    patched = landmark_word(3)
    body = f"""
        {mark(BOUNDARY)}
        {mark(INSIDE)}
        mov x19, #4
    again: bl work
        cmp x19, #2
        b.ne keep
        adr x2, work
        mov w3, #{patched & 0xFFFF}
        movk w3, #{patched >> 16}, lsl #16
        str w3, [x2]
        dc cvau, x2
        dsb ish
        ic ivau, x2
        dsb ish
        isb
    keep: subs x19, x19, #1
        b.ne again
        {mark(BOUNDARY)}
        b done
    work: {landmark(2)}
        ret
    done:"""
    program = build_freestanding(tmp_path, body, "-Wl,--omagic")
    dump = count(block_counter, tmp_path / "dump", "from=0,to=1", program).dump
    assert dump.executions(landmark_word(2)) == {(INSIDE, 0): 3}
    assert dump.executions(landmark_word(3)) == {(INSIDE, 0): 1}
    changed = {address for address, words in dump.counts if {landmark_word(2), landmark_word(3)} & set(words)}
    assert len(changed) == 1


THREADED = r"""
#include <pthread.h>
#include <stddef.h>

static pthread_barrier_t all_there;
unsigned char slots[64];
void edgedeploy_mark(unsigned char* slot);

static void work(long times) {
  for (long i = 0; i < times; ++i) __asm__ volatile("movz xzr, #2");
}

static void* worker(void* times) {
  // Otherwise a thread could begin when another has ended, and get its number.
  pthread_barrier_wait(&all_there);
  work((long)times);
  return NULL;
}

int main(void) {
  pthread_t threads[3];
  pthread_barrier_init(&all_there, NULL, 4);
  edgedeploy_mark(&slots[0]);
  edgedeploy_mark(&slots[2]);
  for (long i = 0; i < 3; ++i) pthread_create(&threads[i], NULL, worker, (void*)(100000 * (i + 1)));
  pthread_barrier_wait(&all_there);
  work(50000);
  for (int i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
  edgedeploy_mark(&slots[3]);
  work(7);
  edgedeploy_mark(&slots[0]);
  return 0;
}
"""


def test_threads_count_for_the_slot_marked_by_the_first_and_lose_nothing(block_counter: Path, tmp_path: Path) -> None:
    source = tmp_path / "threaded.c"
    source.write_text(THREADED, encoding="ascii")
    program = cross_build(tmp_path, source, "-pthread")
    dump = count(block_counter, tmp_path / "dump", "from=0,to=1", program).dump
    assert dump.vcpus == 4
    assert dump.executions(landmark_word(2)) == {
        (INSIDE, 0): 50_000,
        (INSIDE, 1): 100_000,
        (INSIDE, 2): 200_000,
        (INSIDE, 3): 300_000,
        (AFTER, 0): 7,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("from=0,to=1", "out= is missing"),
        ("out={out},to=1", "from= is missing"),
        ("out={out},from=0", "to= is missing"),
        ("out={out},from=1,to=1", "to= must be beyond from="),
        ("out={out},from=-1,to=1", "from=: '-1' is not a whole number"),
        ("out={out},from=0,to=1e9", "to=: '1e9' is not a whole number"),
        ("out={out},from=0,to=1,to=2", "to= is given twice"),
        ("out={out},from=0,to=1,l1=32x4", "unknown argument 'l1'"),
        ("out={out},from=0,to=1,l1d=32x4", "l1d= and l2= go together"),
        ("out={out},from=0,to=1,l1d=32,l2=512x16", "l1d=: '32' is not KiBxWAYS"),
        ("out={out},from=0,to=1,l1d=32x0,l2=512x16", "l1d=: '0' is not a whole number from 1 to 64"),
        ("out={out},from=0,to=1,l1d=32x4,l2=500x16", "l2=: 500x16 does not give a power of two of sets"),
        ("out={out}/absent/file,from=0,to=1", "No such file or directory"),
    ],
)
def test_bad_arguments_stop_the_emulator_before_the_program(
    block_counter: Path, looping: Path, tmp_path: Path, arguments: str, message: str
) -> None:
    out = tmp_path / "dump"
    answer = run_counted(block_counter, arguments.format(out=out), looping)
    assert answer.returncode != 0
    assert answer.stderr.startswith("error: block counter: ")
    assert message in answer.stderr.splitlines()[0]
    assert list(tmp_path.iterdir()) == []


def test_a_first_mark_that_is_no_boundary_is_an_error(block_counter: Path, tmp_path: Path) -> None:
    program = build_freestanding(tmp_path, f"{mark(INSIDE)}\n{mark(BOUNDARY)}")
    answer = run_counted(block_counter, f"out={tmp_path / 'dump'},from=0,to=1", program)
    assert answer.returncode == 1
    assert "error: block counter: a mark outside the array of slots" in answer.stderr
    assert not (tmp_path / "dump").exists()


def test_the_plugin_compiles_without_a_warning(tmp_path: Path) -> None:
    csrc = resource_dir() / "csrc"
    command = [
        find_tool("c++"), "-std=c++17", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", f"-I{csrc}",
        *sorted((csrc / "plugin").glob("*.cpp")), "-o", tmp_path / "plugin.so",
    ]  # fmt: skip
    answer = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=False)
    assert answer.returncode == 0, answer.stderr
