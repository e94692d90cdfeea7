"""Other models and the Python operators on the board: flashed, self-tested and run there."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from board_shell import BOARD, TARGET, Shell

import edgedeploy_ops
from edgedeploy.project import PROJECT_FILE

pytestmark = [pytest.mark.emulated, pytest.mark.timeout(1200)]

PACKAGE = 'package = "rapidocr-onnxruntime", version = "1.4.4", path = "rapidocr_onnxruntime/models/'
OCR = {
    "ppocr-cls": (
        f'{{ {PACKAGE}ch_ppocr_mobile_v2.0_cls_infer.onnx", '
        'sha256 = "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c" }',
        [1, 3, 48, 192],
    ),
    "ppocr-rec": (
        f'{{ {PACKAGE}ch_PP-OCRv4_rec_infer.onnx", '
        'sha256 = "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b" }',
        [1, 3, 48, 96],
    ),
}
PAGE = (
    '{ package = "scikit-image", version = "0.26.0", path = "skimage/data/page.png", '
    'sha256 = "341a6f0a61557662b02734a9b6e56ec33a915b2c41886b97509dedf2a43b47a3" }'
)
SCALE = 1 / 127.5


def project_text(*, app: str, source: str, name: str, shape: list[int], sample: str, preprocessing: str) -> str:
    return f"""
samples = [{sample}]
[app]
name = "{app}"
[model]
source = {source}
[[model.inputs]]
name = "{name}"
shape = {shape}
{preprocessing}
[postprocessing]
kind = "argmax"
[golden.limits]
max_abs_error = 1e-3
cosine = 0.9999
"""


def write(directory: Path, text: str) -> None:
    (directory / PROJECT_FILE).write_text(text, encoding="utf-8")


# The classifier's layers are the detector's, which test_whole_path.py flashes.
@pytest.mark.parametrize("app", ["ppocr-rec", pytest.param("ppocr-cls", marks=pytest.mark.nightly)])
def test_ppocr_classifier_and_recogniser_run_on_the_board(shell: Shell, tmp_path: Path, app: str) -> None:
    source, shape = OCR[app]
    preprocessing = f"[model.inputs.preprocessing]\nmean = {[127.5] * 3}\nscale = {[SCALE] * 3}"
    write(
        tmp_path,
        project_text(app=app, source=source, name="x", shape=shape, sample=PAGE, preprocessing=preprocessing),
    )
    there = Shell(directory=tmp_path, environment=shell.environment)
    document = there.json("flash", *TARGET, "--no-bench")
    assert document["verified"] is True
    assert document["golden"]["cosine"] > 0.9999


def test_a_torchscript_model_trained_here_answers_right_on_the_board(shell: Shell, tmp_path: Path) -> None:
    images, labels = _bars(256)
    net = _train(images, labels)
    sample = images[:1]
    expected = int(net(torch.from_numpy(sample)).argmax())
    torch.jit.trace(net.eval(), torch.from_numpy(sample)).save(str(tmp_path / "bars.pt"))
    np.save(tmp_path / "sample.npy", sample)
    write(
        tmp_path,
        project_text(
            app="bars",
            source='"bars.pt"',
            name="in0",
            shape=list(sample.shape),
            sample='"sample.npy"',
            preprocessing="",
        ),
    )
    there = Shell(directory=tmp_path, environment=shell.environment)
    assert there.json("flash", *TARGET, "--no-bench")["verified"] is True
    run = there.json("bench", *TARGET, "--runs", "1")
    (answer,) = run["measurement"]["postprocessing"]["outputs"]
    assert answer["values"] == [expected]


def test_the_operators_wheel_works_in_the_boards_python(shell: Shell, tmp_path: Path) -> None:
    document = shell.json("build", "--board", BOARD, "--wheel", str(tmp_path))
    wheel = Path(document["wheel"])
    assert wheel.name.endswith("linux_aarch64.whl")
    rng = np.random.default_rng(7)
    image = rng.integers(0, 256, (37, 53, 3), np.uint8)
    left = rng.integers(-128, 128, (9, 70), np.int8)
    right = rng.integers(-127, 128, (13, 70), np.int8)
    planes = rng.integers(-128, 128, (13, 12, 15), np.int8)
    kernels = rng.integers(-127, 128, (13, 13, 3, 3), np.int8)
    windows = rng.integers(-127, 128, (13, 3, 3), np.int8)
    scale = rng.uniform(1e-4, 1e-3, 13).astype(np.float32)
    bias = rng.normal(0, 1, 13).astype(np.float32)
    expected = {
        "preprocess_u8f32": edgedeploy_ops.preprocess(image, 31, 29, "rgb", [1.0, 2.0, 3.0], [0.5, 0.25, 0.125]),
        "gemm_s8": edgedeploy_ops.gemm(left, right, scale, bias, activation="relu", out_scale=20.0),
        "conv_s8": edgedeploy_ops.conv_s8(planes, kernels, scale, bias, padding=1, pad_code=-3, activation="mish"),
        "depthwise_s8_3x3s2": edgedeploy_ops.depthwise_s8(
            planes, windows, scale, bias, stride=2, codes=True, activation="sigmoid", out_scale=100.0
        ),
    }
    arrays = {"image": image, "left": left, "right": right, "planes": planes, "kernels": kernels, "windows": windows}
    np.savez(tmp_path / "case.npz", scale=scale, bias=bias, **arrays, **expected)
    (tmp_path / "check.py").write_text(CHECK, encoding="utf-8")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    _copy_to_board(shell, tmp_path, ["case.npz", "check.py", "site"])
    rows = json.loads(shell.on_board("cd ops-check && python3 check.py"))
    table = {row["name"] for row in edgedeploy_ops.kernels() if row["op"] in expected}
    assert table <= set(rows)
    assert rows["preprocess_u8f32_1x8_neon"] == "exact"
    assert rows["gemm_s8_4x4_neon"] == "exact"
    assert rows["conv_s8_4x8_neon"] == "exact"
    assert rows["depthwise_s8_3x3s2_neon"] == "exact"
    assert rows["gemm_s8_8x8_neondot"] == "unsupported"  # a Cortex-A72 has no dot product
    assert {rows[name] for name in table} == {"exact"}
    assert rows["numpy"] == [[3, 11], [1.0, 1.0]], "the board's Python and the libraries of its linear algebra"


CHECK = """
import json, sys
sys.path.insert(0, "site")
import numpy as np
import edgedeploy_ops as ops
case = np.load("case.npz")
calls = {
    "preprocess_u8f32": lambda name: ops.preprocess(
        case["image"], 31, 29, "rgb", [1.0, 2.0, 3.0], [0.5, 0.25, 0.125], variant=name),
    "gemm_s8": lambda name: ops.gemm(
        case["left"], case["right"], case["scale"], case["bias"], activation="relu", out_scale=20.0, variant=name),
    "conv_s8": lambda name: ops.conv_s8(
        case["planes"], case["kernels"], case["scale"], case["bias"], padding=1, pad_code=-3, activation="mish",
        variant=name),
    "depthwise_s8_3x3s2": lambda name: ops.depthwise_s8(
        case["planes"], case["windows"], case["scale"], case["bias"], stride=2, codes=True, activation="sigmoid",
        out_scale=100.0, variant=name),
}
rows = {}
for row in ops.kernels():
    if row["op"] not in calls:
        continue  # no function of the module: the layers of the on-board program are tested with it
    if not row["supported"]:
        rows[row["name"]] = "unsupported"
        continue
    same = np.array_equal(calls[row["op"]](row["name"]), case[row["op"]])
    rows[row["name"]] = "exact" if same else "different"
rows["numpy"] = [sys.version_info[:2], np.linalg.solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 4.0]).tolist()]
print(json.dumps(rows))
"""


def _copy_to_board(shell: Shell, directory: Path, names: list[str]) -> None:
    packed = subprocess.run(["tar", "-C", str(directory), "-cf", "-", *names], capture_output=True, check=True)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "edgedeploy",
            "emulator",
            "ssh",
            BOARD,
            "--",
            "mkdir -p ops-check; tar -xf - -C ops-check",
        ],
        input=packed.stdout,
        env=shell.environment,
        check=True,
        timeout=120,
    )


def _bars(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy 16x16 images of a horizontal (0) or a vertical bar (1): float32 (N, 1, 16, 16), int64 (N,)."""
    rng = np.random.default_rng(3)
    images = rng.normal(0, 0.3, (count, 1, 16, 16)).astype(np.float32)
    labels = rng.integers(0, 2, count)
    for image, label, place in zip(images, labels, rng.integers(2, 14, count), strict=True):
        if label:
            image[0, :, place] += 1
        else:
            image[0, place, :] += 1
    return images, labels


def _train(images: np.ndarray, labels: np.ndarray) -> torch.nn.Module:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 16, 3, stride=2),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(16, 2),
    )
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    inputs, targets = torch.from_numpy(images), torch.from_numpy(labels)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(inputs), targets).backward()
        optimizer.step()
    accuracy = (net(inputs).argmax(1) == targets).float().mean()
    assert accuracy > 0.95
    return net
