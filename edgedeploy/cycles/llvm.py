"""llvm's programs: machine code to text by llvm-mc, and the cycles of a loop by llvm-mca."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import CycleCountError, MissingToolError

LLVM_MAJOR = "19"
"""The one version whose prices are known; another version's models differ."""
PACKAGE = f"llvm-{LLVM_MAJOR}"
PROGRAMS = ("llvm-mc", "llvm-mca")
ITERATIONS = 100
NOP = "nop"

ATTRIBUTES = "+v8.4a,+fullfp16,+fp16fml,+dotprod,+i8mm,+bf16,+sve,+sve2,+lse,+rcpc,+crypto,+sha3,+sm4,+rand,+flagm"
"""What may be decoded. The prices do not depend on it: they are the core's."""

_DEADLINE_S = 600
_TAIL_LINES = 5
_MOST_ROUNDS = 4
_VERSION = re.compile(r"LLVM version (\d+)((?:\.\d+)*)")
_INVALID = re.compile(r"^<stdin>:(\d+):\d+: warning: invalid instruction encoding", re.MULTILINE)
_UNPARSED = re.compile(r"^\S*:(\d+):\d+: error: ", re.MULTILINE)
_SKIPPED = re.compile(r"^warning: .*skipping with -skip-unsupported.*\nnote: instruction:(.*)$", re.MULTILINE)
_CALL = re.compile(r"^(bl|blr)\b")


@dataclass(frozen=True, kw_only=True)
class Llvm:
    """The two programs and their version, such as ``19.1.7``."""

    mc: Path
    mca: Path
    version: str


@dataclass(frozen=True, kw_only=True)
class Price:
    """What one pass through a block costs.

    Args:
        cycles: In-core cycles, by the core's model.
        unpriced: How many of its instructions llvm cannot read or price; they cost a nop.
    """

    cycles: float
    unpriced: int


def find_llvm() -> Llvm:
    """Return llvm's programs.

    Raises:
        MissingToolError: They are not installed, or of another version.
    """
    found: list[Path] = []
    others: list[str] = []
    version = ""
    for program in PROGRAMS:
        for name in (f"{program}-{LLVM_MAJOR}", program):
            path = shutil.which(name)
            known = _version_of(Path(path)) if path else None
            if path and known and known.split(".")[0] == LLVM_MAJOR:
                found.append(Path(path).absolute())
                version = known
                break
            if path:
                others.append(f"{name} is {known or 'of no version that can be read'}")
    if len(found) != len(PROGRAMS):
        detail = f" ({'; '.join(others)})" if others else ""
        raise MissingToolError(
            f"cycles are priced by {' and '.join(PROGRAMS)} of version {LLVM_MAJOR}, which are not installed{detail}",
            hint=f"sudo apt-get install -y {PACKAGE}",
        )
    mc, mca = found
    return Llvm(mc=mc, mca=mca, version=version)


def missing_tools() -> tuple[tuple[str, str], ...]:
    """Return llvm's programs and their package where the host lacks them."""
    try:
        find_llvm()
    except MissingToolError:
        return ((f"llvm-mca {LLVM_MAJOR}", PACKAGE),)
    return ()


def disassemble(words: Sequence[str], llvm: Llvm) -> dict[str, str]:
    """Return the text of instructions.

    Args:
        words: Little-endian words as eight hex digits each.

    Returns:
        Word -> text, without those that llvm cannot read: ``{"4e809420": "sdot v0.4s, v1.16b, v0.16b"}``.

    Raises:
        CycleCountError: llvm-mc failed.
    """
    unique = sorted(set(words))
    text = "\n".join(" ".join(f"0x{word[at : at + 2]}" for at in (6, 4, 2, 0)) for word in unique)
    command = [str(llvm.mc), "-triple=aarch64", f"-mattr={ATTRIBUTES}", "--disassemble"]
    done = _run(command, text)
    unreadable = {int(match.group(1)) - 1 for match in _INVALID.finditer(done.stderr)}
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    texts = [line for line in lines if line and not line.startswith(".")]
    readable = [word for index, word in enumerate(unique) if index not in unreadable]
    if done.returncode != 0 or len(texts) != len(readable):
        raise _failed(command, done)
    return dict(zip(readable, texts, strict=True))


def price_blocks(blocks: Sequence[Sequence[str]], texts: Mapping[str, str], cpu: str, llvm: Llvm) -> list[Price]:
    """Return the price of each block as a loop of itself: total cycles of 100 passes, by 100.

    A call costs what a jump does (llvm-mca would take 100 cycles for what is called, which is priced by itself here).

    Args:
        blocks: The words of each.
        texts: Their text, where llvm can read them.
        cpu: llvm's name of the core.

    Raises:
        CycleCountError: llvm-mca failed.
    """
    unpriced = {word for block in blocks for word in block if word not in texts}
    for _ in range(_MOST_ROUNDS):
        lines = [[NOP if word in unpriced else _as_jump(texts[word]) for word in block] for block in blocks]
        cycles, refused = _price(lines, cpu, llvm)
        if not refused:
            counts = (sum(word in unpriced for word in block) for block in blocks)
            return [Price(cycles=value, unpriced=count) for value, count in zip(cycles, counts, strict=True)]
        unpriced |= {word for block in blocks for word in block if word in texts and _as_jump(texts[word]) in refused}
    raise CycleCountError("llvm-mca leaves out instructions without naming them", hint=_HINT)


_HINT = f"see whether llvm-mca-{LLVM_MAJOR} runs by itself; this is a fault of edgedeploy otherwise"


def _as_jump(text: str) -> str:
    """Return a call as the jump to the same place; any other instruction as it is."""
    return _CALL.sub(lambda match: "br" if match.group(1) == "blr" else "b", text)


def _price(blocks: Sequence[Sequence[str]], cpu: str, llvm: Llvm) -> tuple[list[float], set[str]]:
    """Return the cycles of each block, or else the instructions that llvm-mca left out."""
    if not blocks:
        return [], set()
    lines: list[str] = []
    for index, block in enumerate(blocks):
        lines += [f"# LLVM-MCA-BEGIN {index}", *block, "# LLVM-MCA-END"]
    command = [
        str(llvm.mca),
        "-mtriple=aarch64",
        f"-mcpu={cpu}",
        f"-mattr={ATTRIBUTES}",
        f"-iterations={ITERATIONS}",
        "-skip-unsupported-instructions=any",
        "--json",
    ]
    done = _run(command, "\n".join(lines) + "\n")
    refused = {_plain(match.group(1)) for match in _SKIPPED.finditer(done.stderr)}
    refused |= {_plain(lines[int(match.group(1)) - 1]) for match in _UNPARSED.finditer(done.stderr)}
    named = {line for line in lines if _plain(line) in refused}
    if named:
        return [], named
    cycles: dict[int, float] = {}
    try:
        for region in json.loads(done.stdout)["CodeRegions"]:
            view = region["SummaryView"]
            index = int(region["Name"])
            if view["Instructions"] == len(blocks[index]) * view["Iterations"]:
                cycles[index] = view["TotalCycles"] / view["Iterations"]
    except (ValueError, KeyError, TypeError, IndexError):
        raise _failed(command, done) from None
    if done.returncode != 0 or len(cycles) != len(blocks):
        raise _failed(command, done)
    return [cycles[index] for index in range(len(blocks))], set()


def _plain(text: str) -> str:
    """Return an instruction without what printing it again may change."""
    return " ".join(text.split()).lower()


def _version_of(program: Path) -> str | None:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(done.stdout)
    return match.group(1) + match.group(2) if match else None


def _run(command: list[str], text: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=_DEADLINE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CycleCountError(f"{Path(command[0]).name} did not run: {error}", hint=_HINT) from None


def _failed(command: list[str], done: subprocess.CompletedProcess[str]) -> CycleCountError:
    tail = "\n".join(done.stderr.strip().splitlines()[-_TAIL_LINES:])
    return CycleCountError(f"{Path(command[0]).name} ended with status {done.returncode}:\n{tail}", hint=_HINT)
