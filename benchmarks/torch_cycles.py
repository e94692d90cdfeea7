#!/usr/bin/env python3
"""What the built-in networks cost in PyTorch's aarch64 wheel, float32, one thread, by the same ruler.

    python benchmarks/torch_cycles.py [--json] [--core CORE ...] [--only NET ...] [--mobile]

Python and the C library for arm64 come from Debian's packages, PyTorch from its wheel; both are kept in the cache
directory. The networks are built layer by layer from PyTorch's own functions, with the weights that stock ncnn has,
and their outputs are held against the engine's. One inference is counted after two that warm up.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from edgedeploy.artifacts import FloatArray
from edgedeploy.build.plugin import build_plugin
from edgedeploy.build.tools import find_tool
from edgedeploy.cli.builtin_nets import BUILTIN_NAMES, build_builtin
from edgedeploy.cli.builtin_ocr import OCR_NETS, page_windows
from edgedeploy.cli.console import ConsoleProgress
from edgedeploy.cycles.cores import find_core
from edgedeploy.cycles.dump import read_dump
from edgedeploy.cycles.emulated import find_qemu
from edgedeploy.cycles.llvm import find_llvm
from edgedeploy.cycles.nets import patterned_image
from edgedeploy.cycles.price_cache import PriceCache
from edgedeploy.cycles.pricing import price_dump
from edgedeploy.emulate.image import extract, unpack_packages
from edgedeploy.graph import Graph, read_graph
from edgedeploy.graph.engine import FLOAT_OPTIONS, Engine
from edgedeploy.paths import cache_dir, resource_dir

TORCH = "torch==2.8.0"
NEEDED = ("numpy==2.2.6", "filelock", "typing-extensions", "sympy", "networkx", "jinja2", "fsspec")
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux2014_aarch64", "manylinux_2_17_aarch64")
DEBIAN_PACKAGES = ("python3", "libstdc++6", "libgomp1")
SUITE = "bookworm"
PYTHON = "usr/bin/python3.11"
CROSS_COMPILER = "aarch64-linux-gnu-gcc"
CORES = ("cortex-a76", "cortex-a72")
WARM_UP_RUNS = 2
LOWEST_COSINE = 0.9999

_MARKS = """
void edgedeploy_mark(unsigned char* slot);
static unsigned char slots[16];
void mark(int slot) { edgedeploy_mark(slots + slot); }
"""
_GUEST = Path(__file__).with_name("torch_guest.py")
_DEADLINE_S = 3600


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network on one core: cycles and instructions of an inference, and the cosine to the engine's output."""

    net: str
    core: str
    how: str
    cycles: int
    instructions: int
    cosine: float


@dataclass(frozen=True, kw_only=True)
class Guest:
    """Python and PyTorch for arm64, and the library that marks."""

    root: Path
    packages: Path
    marks: Path


def prepare(progress: ConsoleProgress) -> Guest:
    """Return the guest's files, fetching and building what the cache lacks."""
    parent = cache_dir() / "torch-aarch64"
    parent.mkdir(parents=True, exist_ok=True)
    guest = Guest(root=parent / "root", packages=parent / TORCH.replace("==", "-"), marks=parent / "marks.so")
    with tempfile.TemporaryDirectory(dir=parent) as name:
        scratch = Path(name)
        if not guest.root.is_dir():
            archive = scratch / "packages.tar"
            unpack_packages(
                SUITE, DEBIAN_PACKAGES, archive, scratch=scratch, title="Python for arm64", progress=progress
            )
            extract(archive, scratch / "root", only=("./usr", "./lib", "./etc"))
            (scratch / "root").rename(guest.root)
        if not guest.packages.is_dir():
            with progress.task(f"Fetching {TORCH} for aarch64"):
                _install([TORCH, "--no-deps"], scratch / "packages")
                _install(NEEDED, scratch / "packages")
            (scratch / "packages").rename(guest.packages)
        sources = resource_dir() / "csrc"
        (scratch / "marks.c").write_text(_MARKS, encoding="ascii")
        command = [find_tool(CROSS_COMPILER), "-shared", "-fPIC", "-nostdlib", f"-I{sources}", scratch / "marks.c"]
        subprocess.run([*command, sources / "runner/mark_aarch64.S", "-o", scratch / "marks.so"], check=True)
        (scratch / "marks.so").rename(guest.marks)
    return guest


def _install(packages: Sequence[str], target: Path) -> None:
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    options = ["--only-binary=:all:", "--implementation=cp", "--python-version=3.11", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *options, *platforms, *packages], check=True)


def store_net(graph: Graph, image: FloatArray, file: Path) -> None:
    """Write what the guest runs: layers as JSON, weights as ``w`` with the layer's index and their name, the input."""
    layers = [
        {
            "index": index,
            "type": layer.type,
            "name": layer.name,
            "inputs": list(layer.inputs),
            "outputs": list(layer.outputs),
            "params": {str(item.key): item.value for item in layer.params if isinstance(item.value, int | float)},
        }
        for index, layer in enumerate(graph.layers)
    ]
    weights = {
        f"w{index}_{weight.name}": np.asarray(weight.array, np.float32)
        for index, layer in enumerate(graph.layers)
        for weight in layer.weights
    }
    np.savez(file, layers=np.array(json.dumps(layers)), input=image, **weights)


def input_of(net: str, shape: tuple[int, int, int], progress: ConsoleProgress) -> FloatArray:
    """Return what is fed: a piece of a printed page to PP-OCR, which finds nothing elsewhere."""
    if net in OCR_NETS:
        return page_windows(OCR_NETS[net], progress=progress).tensor(0)
    return patterned_image(shape, 0)


def count(net: str, cores: Sequence[str], guest: Guest, *, mobile: bool, progress: ConsoleProgress) -> list[Row]:
    """Count one network on each core."""
    built = build_builtin(net, int8=False, progress=progress)
    graph = read_graph(built.param, built.weights)
    image = input_of(net, built.inputs["in0"], progress)
    expected = Engine(built.param, built.weights, options=FLOAT_OPTIONS).run(graph.outputs, {"in0": image})["out0"]
    how = "optimize_for_mobile" if mobile else "eager"
    rows = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        store_net(graph, image, scratch / "net.npz")
        for core_name in cores:
            core = find_core(core_name)
            assert core.priced_as is not None
            window = f"from={WARM_UP_RUNS},to={WARM_UP_RUNS + 1}"
            counter = f"{build_plugin(progress=progress)},out={scratch / 'blocks.txt'},{window}"
            python = [guest.root / PYTHON, _GUEST, scratch / "net.npz", guest.marks]
            command = [find_qemu(), "-cpu", core.emulated_as, "-L", guest.root, "-plugin", counter]
            command += ["-E", f"PYTHONPATH={guest.packages}", "-E", "OMP_WAIT_POLICY=PASSIVE", *python]
            command += [str(WARM_UP_RUNS + 1), scratch / "out.npy", *(["--mobile"] if mobile else [])]
            with progress.task(f"Counting {net} in {TORCH} ({how}) as {core.emulated_as}"):
                subprocess.run(command, check=True, timeout=_DEADLINE_S, stdout=subprocess.DEVNULL)
            dump = read_dump(scratch / "blocks.txt")
            llvm = find_llvm()
            cache = PriceCache(cache_dir() / "cycles", version=llvm.version, cpu=core.priced_as)
            priced = price_dump(dump, core.priced_as, llvm, cache, progress=progress)
            rows.append(
                Row(
                    net=net,
                    core=core_name,
                    how=how,
                    cycles=round(sum(priced.cycles(block.code) * block.executions for block in dump.blocks)),
                    instructions=sum(block.length * block.executions for block in dump.blocks),
                    cosine=_cosine(np.load(scratch / "out.npy"), expected),
                )
            )
            if rows[-1].cosine < LOWEST_COSINE:
                raise SystemExit(f"{net}: PyTorch's output is another (cosine {rows[-1].cosine:.6f})")
    return rows


def _cosine(left: FloatArray, right: FloatArray) -> float:
    a, b = left.ravel().astype(np.float64), right.ravel().astype(np.float64)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--mobile", action="store_true", help="Packed for XNNPACK by optimize_for_mobile.")
    parser.add_argument("--core", nargs="*", default=list(CORES), choices=list(CORES))
    parser.add_argument("--only", nargs="*", default=list(BUILTIN_NAMES), choices=list(BUILTIN_NAMES))
    arguments = parser.parse_args()
    progress = ConsoleProgress()
    guest = prepare(progress)
    rows = [
        row
        for net in arguments.only
        for row in count(net, arguments.core, guest, mobile=arguments.mobile, progress=progress)
    ]
    if arguments.json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}, indent=2))
        return
    for row in rows:
        print(f"{row.net:13}{row.core:12}{row.how:21}{row.cycles / 1e6:8.1f}M cycles, cosine {row.cosine:.6f}")


if __name__ == "__main__":
    main()
