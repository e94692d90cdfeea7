"""Valid documents that the mutations start from: small ones, with every part of a format filled."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cycles_records import record
from health_notes import note, older_answer
from numpy.typing import NDArray
from quantization_records import quantization_record
from random_nets import random_net
from signing_keys import fixed_key, trusted

from edgedeploy.artifacts import InputSpec, canonical_json
from edgedeploy.bundle.manifest import preprocessing_fingerprint
from edgedeploy.graph import Storage, format_param
from edgedeploy.graph.weights import weights_bytes
from edgedeploy.runfile import dump_record

ROOT = Path(__file__).parents[2]
NAME, SHAPE = "x", (1, 2, 3)
DIGEST = "ab" * 32
BOARD = "rk3399"
WEIGHTS_MARK = b"\0WEIGHTS\0"
"""Between the two files of a network, which are fuzzed as one."""
STDERR_MARK = b"\0STDERR\0"
"""Between what a board says on its two channels."""

_NETS = (
    (
        "Input x 0 1 x 0=8 1=8 2=3 -23330=4,3,8,8,3",
        "Convolution conv 1 1 x a 0=4 1=3 5=1 6=108 9=2 -23310=1,2.0e-01",
        "ConvolutionDepthWise dw 1 1 a b 0=4 1=3 5=1 6=36 7=4",
        "Split s 1 2 b c d",
        "BinaryOp add 2 1 c d e 0=0",
        "InnerProduct fc 1 1 e out 0=2 1=1 2=8",
    ),
    (
        "Input x 0 1 x",
        "LSTM lstm 1 1 x a 0=3 1=48 2=0",
        "MemoryData m 0 1 k 0=3 1=2",
        "LayerNorm n 1 1 a b 0=3 1=1.000000e-05 2=1",
        "Gemm g 2 1 b k c 2=0 3=1 4=0 5=0 6=1 7=0 8=2 9=3 10=4",
        'Einsum e 1 1 c out 0="ij->ji"',
    ),
)
_INT8_NET = (
    "Input x 0 1 x 0=8 1=8 2=3",
    "Convolution conv 1 1 x a 0=4 1=3 5=1 6=108 8=102 9=1",
    "ConvolutionDepthWise dw 1 1 a b 0=4 1=3 5=1 6=36 7=4 8=1",
    "InnerProduct fc 1 1 b out 0=2 1=1 2=64 8=2",
)
_STORAGES_NET = (
    "Input x 0 1 x",
    "InnerProduct half 1 1 x a 0=2 1=1 2=6",
    "InnerProduct brain 1 1 a b 0=3 2=6",
    "InnerProduct raw 1 1 b c 0=2 2=6",
    "InnerProduct table 1 1 c d 0=3 2=6",
    "Embed embed 1 1 d e 0=2 1=3 3=6 18=1",
    "MemoryData auto 0 1 k 0=2 1=3 21=0",
    "Gemm blocks 1 1 k f 3=1 5=1 6=1 8=3 9=2 10=4 18=410",
    "BinaryOp add 2 1 e f out",
)
_STORAGES = (Storage.FP16, Storage.BF16, Storage.RAW_FP32, Storage.TABLE, Storage.INT8)


@cache
def networks() -> tuple[bytes, ...]:
    graphs = [
        *(random_net(*net) for net in _NETS),
        random_net(*_NETS[0], storages=(Storage.FP16,)),
        random_net(*_INT8_NET, storages=(Storage.INT8,)),
        random_net(*_STORAGES_NET, storages=_STORAGES),
    ]
    return tuple(format_param(graph).encode() + WEIGHTS_MARK + weights_bytes(graph) for graph in graphs)


@cache
def params() -> tuple[bytes, ...]:
    own = [network.partition(WEIGHTS_MARK)[0] for network in networks()]
    return (*own, own[0].replace(b"\n", b"\r\n"))


@cache
def manifests() -> tuple[bytes, ...]:
    spec = InputSpec(name="image", shape=(1, 5))
    names = ("model/m.param", "model/m.bin", "golden/in0.npy", "golden/out0.npy")
    document = {
        "schema": 1,
        "app": "toy",
        "board": "rk3399",
        "triple": "aarch64-linux-gnu",
        "versions": {"edgedeploy": "0.1", "engine": "1.0", "converter": "pnnx", "build_id": "b1"},
        "model": {
            "param": names[0],
            "weights": names[1],
            "precision": "fp32",
            "inputs": [{"name": "in0", "source_name": "image", "shape": [1, 5], "preprocessing": None}],
            "outputs": [{"name": "out0", "source_name": "y", "shape": [5]}],
        },
        "postprocessing": {"kind": "none", "threshold": 0.5},
        "preprocessing_fingerprint": preprocessing_fingerprint((spec,)),
        "golden": {
            "inputs": [{"name": "in0", "file": names[2]}],
            "outputs": [{"name": "out0", "file": names[3]}],
            "limits": {"cosine": 0.99, "max_abs_error": 0.1},
        },
        "requirements": {"architecture": "aarch64", "isa": ["asimd"], "glibc": "2.36", "memory_bytes": 1},
        "files": [{"path": name, "sha256": DIGEST, "size_bytes": 3, "mode": "644"} for name in names],
    }
    return (canonical_json(document),)


@cache
def runs() -> tuple[bytes, ...]:
    files = sorted((ROOT / "tests" / "captures" / "runs").glob("*.json"))
    return tuple(path.read_bytes() for path in files)


@cache
def measurements() -> tuple[bytes, ...]:
    return tuple(canonical_json(json.loads(run)["measurement"]) for run in runs())


@cache
def quantizations() -> tuple[bytes, ...]:
    return (dump_record(quantization_record()),)


@cache
def cycles() -> tuple[bytes, ...]:
    return (dump_record(record()),)


@cache
def boards() -> tuple[bytes, ...]:
    """Of two kinds of cores, 32 bits, one cluster and three; under the name that the reader's file has."""
    files = [ROOT / "boards" / f"{name}.toml" for name in (BOARD, "rpi2", "jetson-nano", "rk3588")]
    return tuple(re.sub(rb"(?m)^name = .*$", f'name = "{BOARD}"'.encode(), path.read_bytes()) for path in files)


@cache
def projects() -> tuple[bytes, ...]:
    return ((ROOT / "examples" / "ppocr-det" / "edgedeploy.toml").read_bytes(),)


def fleets() -> tuple[bytes, ...]:
    return (
        b'parallel = 4\n[waves]\nsizes = [1, "25%", "rest"]\nmax_failures = 1\nroll_back = true\n'
        b'[labgrid]\ncoordinator = "lab:20408"\n'
        b'[[boards]]\nname = "a"\nboard = "rk3399"\nhost = "rock@192.0.2.7:22"\nkey_file = "k"\ndirectory = "~/d"\n'
        b'[[boards]]\nname = "b"\nboard = "rpi4"\nplace = "door-1"\n'
        b'[[boards]]\nname = "c"\nboard = "./mine.toml"\nemulated = true\n',
    )


def tables() -> tuple[bytes, ...]:
    return (b"conv_param_0 156.639840 536.133057 27.1 \nfc_param_0 1.0 8219.168945 \nconv 0.845193 \nfc 87.230003 \n",)


def label_files() -> tuple[bytes, ...]:
    return (b"name,label\na.png,0\nsub/b.png,12\nc.png,3\n",)


@cache
def arrays() -> tuple[bytes, ...]:
    return tuple(_saved(np.arange(6, dtype=kind).reshape(SHAPE)) for kind in ("<f4", ">f8", "u1"))


@cache
def archives() -> tuple[bytes, ...]:
    array = np.zeros(SHAPE, np.float32)
    made = []
    for save in (np.savez, np.savez_compressed):
        stream = io.BytesIO()
        save(stream, **{NAME: array, "other": array})
        made.append(stream.getvalue())
    return tuple(made)


def active_releases() -> tuple[bytes, ...]:
    return (f"/home/me/.edgedeploy/toy/releases/{DIGEST}\n".encode() + manifests()[0],)


def selftests() -> tuple[bytes, ...]:
    output = {"name": "out0", "cosine": 0.99999, "max_abs_error": 0.003, "sqnr_db": None, "passed": True}
    document = {"schema": 1, "passed": True, "outputs": [output], "duration_us": 812.5, "peak_rss_bytes": 9_000_000}
    return (canonical_json(document),)


def owners() -> tuple[bytes, ...]:
    note = {"token": "0123", "who": "me@here", "machine": "m", "pid": 4242, "since": "2026-01-02T03:04:05Z"}
    return (canonical_json(note),)


def leases() -> tuple[bytes, ...]:
    note = {
        "coordinator": "lab:20408",
        "place": "door-1",
        "identity": "here/me",
        "changed": None,
        "asked": 1.5,
        "pid": 42,
    }
    asked = canonical_json(note).rstrip() + b"\n"
    return (asked, asked + canonical_json({**note, "changed": 1767323045.5}).rstrip() + b"\n")


def histories() -> tuple[bytes, ...]:
    line = {"time": "2026-01-02T03:04:05Z", "action": "flash", "to": DIGEST}
    back = {**line, "action": "automatic-rollback", "from": DIGEST, "to": None, "reason": "latency 35 ms"}
    return (canonical_json(line) + canonical_json({**line, "action": "rollback"}) + canonical_json(back),)


def healths() -> tuple[bytes, ...]:
    pending = note(state="pending", answer=None)
    return tuple(canonical_json(item) for item in (note(), note(answer=older_answer()), pending))


def surveys() -> tuple[bytes, ...]:
    lines = (
        f"root /home/me/.edgedeploy/toy\ntrust {DIGEST}\nrecovered undone flash {DIGEST}\n"
        f"current releases/{DIGEST}\nhave {DIGEST}\npartial {DIGEST} 4096 {DIGEST}\nintact no\ndisk-free-kib 1024\n"
        f"memory MemFree: 100\nmemory Cached: 50\nmemory MemAvailable: 70\nrelease {DIGEST}\n"
    )
    report = lines.encode() + b"".join(b"history " + line for line in histories()[0].splitlines(keepends=True))
    return (report + b"end\n", b"busy 90 " + owners()[0] + b"\n", b"busy - \n")


def statuses() -> tuple[bytes, ...]:
    lines = (
        f"root /home/me/.edgedeploy/toy\ncurrent releases/{DIGEST}\njournal-action flash\njournal-to {DIGEST}\n"
        f"journal-from \njournal-time 2026-01-02T03:04:05Z\nlock 90 {owners()[0].decode().strip()}\n"
        f"store-bytes 12345\nrelease {DIGEST}\nmanifest {DIGEST} {manifests()[0].decode().strip()}\n"
    )
    report = lines.encode() + b"".join(b"history " + line for line in histories()[0].splitlines(keepends=True))
    return (report + b"end\n", b"root /home/me/.edgedeploy/toy\nend\n")


def verdicts() -> tuple[bytes, ...]:
    signed = {"schema": 1, "verified": True, "required": True, "key": DIGEST, "name": "alice", "files": 4}
    none = {"schema": 1, "verified": False, "required": False}
    return tuple(b"status 0\nanswer " + canonical_json(document) for document in (signed, none))


def changes() -> tuple[bytes, ...]:
    return (b"status 0\nanswer " + canonical_json({"schema": 1, "serial": 3, "keys": 2}) + STDERR_MARK + b"warning\n",)


def lists_of_keys() -> tuple[bytes, ...]:
    return (trusted(fixed_key("alice"), fixed_key("bob"), serial=3).to_bytes(), trusted().to_bytes())


def public_keys() -> tuple[bytes, ...]:
    line = fixed_key("alice").private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return (line + b" alice\n", line)


@cache
def programs() -> tuple[bytes, ...]:
    """Small programs with and without libraries."""
    made = []
    with tempfile.TemporaryDirectory() as scratch:
        source, program = Path(scratch) / "p.c", Path(scratch) / "p"
        source.write_text("#include <math.h>\nint main(int n, char **v) { return pow(n, n) > 2; }\n", encoding="ascii")
        for options in (["-lm"], ["-shared", "-nostdlib", "-fPIC"]):
            command = ["aarch64-linux-gnu-gcc", "-s", "-Wl,-z,max-page-size=4096", "-o", program, source, *options]
            subprocess.run(command, check=True, timeout=60)
            made.append(program.read_bytes())
    return tuple(made)


def _saved(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()
