"""A release directory as the runner finds it on a board."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from runner_models import FloatArray, NetWriter, host_outputs


@dataclass(frozen=True, kw_only=True)
class ReleaseInput:
    """An input: its array as the runner reads it, its shape with batch, and its preprocessing or None."""

    array: NDArray[Any]
    shape: tuple[int, ...]
    preprocessing: dict[str, Any] | None = None


def golden_outputs(
    directory: Path, net: NetWriter, inputs: dict[str, FloatArray], outputs: list[str]
) -> dict[str, FloatArray]:
    """Return what the host's engine makes of the inputs."""
    net.save(directory / "model")
    return host_outputs(directory / "model", inputs, outputs)


def float_input(array: FloatArray) -> ReleaseInput:
    return ReleaseInput(array=array, shape=array.shape)


def write_release(
    directory: Path,
    net: NetWriter,
    *,
    inputs: dict[str, ReleaseInput],
    outputs: dict[str, FloatArray],
    precision: str = "fp32",
    postprocessing: dict[str, Any] | None = None,
    limits: tuple[float, float] = (0.9999, 1e-3),
) -> dict[str, Any]:
    """Write model, golden arrays and manifest.

    Args:
        inputs: Golden inputs by the model's names.
        outputs: Golden outputs by the model's names.
        limits: Smallest cosine, largest absolute error.

    Returns:
        The manifest.
    """
    net.save(directory / "model")
    golden = directory / "golden"
    golden.mkdir(parents=True, exist_ok=True)
    for name, item in inputs.items():
        np.save(golden / f"{name}.npy", item.array)
    for name, array in outputs.items():
        np.save(golden / f"{name}.npy", array.astype(np.float32))
    manifest = {
        "schema": 1,
        "app": "test",
        "board": "rk3399",
        "triple": "aarch64-linux-gnu",
        "versions": {"edgedeploy": "0.1.0", "engine": "1.0.20261020", "converter": "none", "build_id": "test"},
        "model": {
            "param": "model/model.param",
            "weights": "model/model.bin",
            "precision": precision,
            "inputs": [
                {
                    "name": name,
                    "source_name": name,
                    "shape": list(item.shape),
                    "preprocessing": copy.deepcopy(item.preprocessing),
                }
                for name, item in inputs.items()
            ],
            "outputs": [
                {"name": name, "source_name": name, "shape": list(array.shape)} for name, array in outputs.items()
            ],
        },
        "postprocessing": postprocessing or {"kind": "none", "threshold": 0.5},
        "preprocessing_fingerprint": "0" * 64,
        "golden": {
            "inputs": [{"name": name, "file": f"golden/{name}.npy"} for name in inputs],
            "outputs": [{"name": name, "file": f"golden/{name}.npy"} for name in outputs],
            "limits": {"cosine": limits[0], "max_abs_error": limits[1]},
        },
        "requirements": {"architecture": "aarch64", "isa": ["asimd", "fp"], "glibc": None, "memory_bytes": 1},
        "files": [],
    }
    list_files(directory, manifest)
    write_manifest(directory, manifest)
    return manifest


def list_files(directory: Path, manifest: dict[str, Any]) -> None:
    """Put the release's files into the manifest with the sizes they have now."""
    manifest["files"] = [
        {"path": str(path.relative_to(directory)), "sha256": "0" * 64, "size_bytes": path.stat().st_size, "mode": "644"}
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    ]


def write_manifest(directory: Path, manifest: dict[str, Any]) -> None:
    (directory / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
