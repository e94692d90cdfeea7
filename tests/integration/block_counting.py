"""Small aarch64 programs with marks, run under qemu-aarch64 with the block counter, and what it writes."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edgedeploy.build.tools import find_tool
from edgedeploy.paths import resource_dir

DEADLINE_S = 240
CROSS_COMPILER = "aarch64-linux-gnu-gcc"
EMULATOR = "qemu-aarch64"
EXIT_SYSTEM_CALL = 93

Memory = tuple[int, int, int, int, int, int]


@dataclass(kw_only=True)
class Dump:
    """A parsed dump. ``counts``: (address, instructions) -> (slot, vCPU) -> executions."""

    boundaries: int = -1
    vcpus: int = -1
    sequence: list[int] = field(default_factory=list)
    counts: dict[tuple[int, tuple[int, ...]], Counter[tuple[int, int]]] = field(default_factory=dict)
    memory: dict[int, Memory] = field(default_factory=dict)

    def executions(self, word: int) -> Counter[tuple[int, int]]:
        """How often one instruction ran, by slot and vCPU."""
        total: Counter[tuple[int, int]] = Counter()
        for (_, words), counts in self.counts.items():
            for place, count in counts.items():
                if word in words:
                    total[place] += count * words.count(word)
        return total

    @property
    def slots(self) -> set[int]:
        return {slot for counts in self.counts.values() for slot, _ in counts}

    def flat(self) -> Counter[tuple[int, tuple[int, ...], int, int]]:
        """Executions by address, instructions, slot and vCPU."""
        return Counter(
            {(*block, *place): count for block, counts in self.counts.items() for place, count in counts.items()}
        )


def read_dump(path: Path) -> Dump:
    """Read a dump by its grammar; a line that does not belong there fails."""
    first, *lines = path.read_text(encoding="ascii").splitlines()
    assert first == "edgedeploy-blocks 1"
    dump = Dump()
    block: tuple[int, tuple[int, ...]] | None = None
    for line in lines:
        match line.split():
            case ["boundaries", number]:
                dump.boundaries = int(number)
            case ["vcpus", number]:
                dump.vcpus = int(number)
            case ["sequence", *slots]:
                dump.sequence = [int(slot) for slot in slots]
            case ["block", address, code]:
                block = int(address, 16), tuple(_words(code))
                assert block not in dump.counts
                dump.counts[block] = Counter()
            case ["count", slot, vcpu, executions]:
                assert block is not None
                dump.counts[block][int(slot), int(vcpu)] = int(executions)
            case ["memory", slot, loads, stores, l1, l1_stream, l2, l2_stream]:
                dump.memory[int(slot)] = int(loads), int(stores), int(l1), int(l1_stream), int(l2), int(l2_stream)
            case _:
                raise AssertionError(line)
    assert all(dump.counts.values()), "a block without counts"
    return dump


def _words(code: str) -> Iterator[int]:
    assert len(code) % 8 == 0
    for begin in range(0, len(code), 8):
        yield int(code[begin : begin + 8], 16)


def landmark(number: int) -> str:
    """An instruction without effect that tests find again: ``movz xzr, #number``."""
    return f"movz xzr, #{number}"


def landmark_word(number: int) -> int:
    return 0xD280001F | number << 5


def mark(slot: int) -> str:
    """Assembly that marks a slot. Clobbers x0 and x30."""
    return f"adrp x0, slots + {slot}\n add x0, x0, :lo12:slots + {slot}\n bl edgedeploy_mark"


def loop(name: str, times: int, number: int) -> str:
    """A landmark executed a number of times. Clobbers x1."""
    return f"mov x1, #{times}\n{name}: {landmark(number)}\n subs x1, x1, #1\n b.ne {name}"


def freestanding(body: str) -> str:
    """A whole program without a C library around some assembly; ``data`` is a MiB to work on."""
    return f"""
    .text
    .global _start
    _start:
    {body}
    mov x0, #0
    mov x8, #{EXIT_SYSTEM_CALL}
    svc #0
    .bss
    .balign 65536
    .global slots
    slots: .skip 4096
    .balign 65536
    data: .skip 1048576
    """


def build_freestanding(directory: Path, body: str, *options: str) -> Path:
    source = directory / "program.S"
    source.write_text(freestanding(body), encoding="ascii")
    return cross_build(directory, source, "-nostdlib", *options)


def cross_build(directory: Path, source: Path, *options: str) -> Path:
    """Compile one source file with the runner's own mark function."""
    csrc = resource_dir() / "csrc"
    program = directory / "program"
    command = [
        find_tool(CROSS_COMPILER), "-static", "-O1", f"-I{csrc}", *options, source, csrc / "runner" / "mark_aarch64.S",
        "-o", program,
    ]  # fmt: skip
    answer = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert answer.returncode == 0, answer.stderr
    return program


def run_counted(
    plugin: Path, arguments: str, program: Path, *words: str | Path, core: str = "cortex-a53"
) -> subprocess.CompletedProcess[str]:
    """Run a program with the plugin. ``arguments``: those of the plugin, ``from=0,to=1``."""
    emulator = shutil.which(EMULATOR)
    assert emulator, "qemu-user is not installed: sudo apt-get install -y qemu-user"
    command = [emulator, "-cpu", core, "-plugin", f"{plugin},{arguments}", program, *words]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=DEADLINE_S, check=False)


@dataclass(frozen=True, kw_only=True)
class Counted:
    dump: Dump
    stdout: str


def count(plugin: Path, out: Path, arguments: str, program: Path, *words: str | Path) -> Counted:
    """Run a program with the plugin, expect success, return what was counted and printed."""
    answer = run_counted(plugin, f"out={out},{arguments}", program, *words)
    assert answer.returncode == 0, answer.stderr
    assert not list(out.parent.glob(f"{out.name}.*")), "a partial file is left"
    return Counted(dump=read_dump(out), stdout=answer.stdout)
