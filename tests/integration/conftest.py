"""The on-board program, cross-built once a session; models to convert and caches for them; an SSH server a test."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from deploy_workbench import Workbench, make_workbench
from model_conversion import PP_OCR
from runner_models import ConvolutionCase, NetWriter, add_convolution, classifier
from runner_program import Runner
from runner_release import float_input, golden_outputs, write_release
from ssh_server import KEY_TYPES, PASSPHRASE, Server, free_port, make_key, start_sshd, wait_for_banner

from edgedeploy.assets import PackagedFile, fetch_packaged_file
from edgedeploy.build.plugin import build_plugin
from edgedeploy.build.runtime import build_runtime
from edgedeploy.paths import CACHE_VARIABLE
from edgedeploy.progress import SILENT
from edgedeploy.transport.ssh import SshTransport, connect

TRIPLE = "aarch64-linux-gnu"
SEED = 20240517
OWN_BUILD = "EDGEDEPLOY_TEST_RUNNER"


@pytest.fixture(scope="session")
def runner() -> Runner:
    """The runner under qemu-aarch64; ``EDGEDEPLOY_TEST_RUNNER`` names one built by hand instead."""
    own = os.environ.get(OWN_BUILD)
    return Runner(program=Path(own) if own else build_runtime(TRIPLE, progress=SILENT).runner)


@pytest.fixture
def verifier(runner: Runner, tmp_path: Path) -> Path:
    """The on-board program as a file that this machine can start."""
    qemu = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    assert qemu, "qemu-user is not installed: sudo apt-get install -y qemu-user"
    path = tmp_path / "verifier"
    path.write_text(f'#!/bin/sh\nexec {qemu} {shlex.quote(str(runner.program))} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture(params=["system", "busybox"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Workbench:
    """A board on this machine's tools, and one that has nothing but busybox."""
    return make_workbench(request.param, tmp_path)


@pytest.fixture(scope="session")
def runner_symbols() -> Path:
    """The functions of the runner."""
    if OWN_BUILD in os.environ:
        pytest.skip("the symbols are those of the program in the cache")
    return build_runtime(TRIPLE, progress=SILENT).symbols


@pytest.fixture(scope="session")
def block_counter() -> Path:
    """The plugin that counts blocks, for this host's qemu-aarch64."""
    return build_plugin(progress=SILENT)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(SEED)


@pytest.fixture
def classifier_release(tmp_path: Path, rng: np.random.Generator) -> Path:
    """A release of the classifier with a float input and golden arrays of the host's engine."""
    net = classifier(rng)
    array = rng.normal(0, 1, (1, 3, 16, 16)).astype(np.float32)
    golden = golden_outputs(tmp_path / "release", net, {"in0": array}, ["out0"])
    write_release(tmp_path / "release", net, inputs={"in0": float_input(array)}, outputs=golden)
    return tmp_path / "release"


@pytest.fixture
def mixed_release(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Two inputs, two outputs, float and int8 layers, a Split, and an output that another layer consumes."""
    net = NetWriter()
    net.layer("Input", "in0", [], ["in0"])
    net.layer("Input", "in1", [], ["in1"])
    net.layer("BinaryOp", "add", ["in0", "in1"], ["sum"], "0=0")
    add_convolution(
        net,
        ConvolutionCase(channels_in=8, channels_out=16, activation=(1, ())),
        rng,
        name="first",
        bottom="sum",
        top="mid",
    )
    net.layer("Split", "split", ["mid"], ["mid_0", "mid_1"])
    add_convolution(
        net,
        ConvolutionCase(channels_in=16, channels_out=4, requantizes=False, activation=(4, ())),
        rng,
        name="second",
        bottom="mid_0",
        top="out0",
    )
    net.layer("Pooling", "pool", ["out0"], ["out1"], "0=0 4=1")
    net.layer("Noop", "end", ["mid_1"], ["out2"])
    arrays = {name: rng.normal(0, 1, (1, 8, 4, 6)).astype(np.float32) for name in ("in0", "in1")}
    release = tmp_path / "mixed"
    golden = golden_outputs(release, net, arrays, ["out0", "out1"])
    write_release(
        release,
        net,
        inputs={name: float_input(array) for name, array in arrays.items()},
        outputs=golden,
        limits=(0.99, 0.05),
    )
    return release


@pytest.fixture(scope="session")
def ocr_files() -> dict[str, Path]:
    """PP-OCR's models out of the published package."""
    return {
        key: fetch_packaged_file(
            PackagedFile(
                package="rapidocr-onnxruntime",
                version="1.4.4",
                path=f"rapidocr_onnxruntime/models/{name}",
                sha256=sha256,
            ),
            progress=SILENT,
        )
        for key, (name, sha256, _, _) in PP_OCR.items()
    }


@pytest.fixture(scope="module")
def model_cache(tmp_path_factory: pytest.TempPathFactory, ocr_files: dict[str, Path]) -> Iterator[Path]:
    """A cache for this module's conversions. The downloads above stay in the user's own."""
    directory = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(directory))
        yield directory


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test alone."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def ssh_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("ssh-keys")
    for kind in KEY_TYPES:
        make_key(directory / f"user_{kind}", kind)
        make_key(directory / f"host_{kind}", kind)
    make_key(directory / "locked", "ed25519", PASSPHRASE)
    make_key(directory / "stranger", "ed25519")
    return directory


@pytest.fixture
def start_server(ssh_keys: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers that end with the test."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*, host_keys: tuple[str, ...] = KEY_TYPES, port: int | None = None) -> Server:
        directory = tmp_path / f"sshd-{len(running)}"
        known_hosts = tmp_path / "known_hosts"
        server = start_sshd(ssh_keys, directory, host_keys=host_keys, port=port or free_port(), known_hosts=known_hosts)
        running.append(server.process)
        wait_for_banner(server.endpoint.port, server.process, directory / "log")
        return server

    yield start
    for process in running:
        process.terminate()
        process.wait(10)


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server()


@pytest.fixture
def board(server: Server) -> Iterator[SshTransport]:
    with connect(server.endpoint, ask=lambda key: True) as transport:
        yield transport
