"""The demo's release, and others that differ from it in their weights."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from edgedeploy.artifacts import Bundle, BundleFile, canonical_json
from edgedeploy.boards.load import load_board
from edgedeploy.cli.console import ConsoleProgress
from edgedeploy.cli.projects import open_project
from edgedeploy.cli.releases import bundle_for

BOARD = "rk3399"
WEIGHTS = PurePosixPath("model/model.bin")
LAYER = slice(600_000, 650_000)
"""As many float32 numbers as one of the larger convolutions has."""
NOISE = 1e-5
"""Relative; the golden output must stay within its limits."""


def demo_release(directory: Path) -> Bundle:
    """Return the release of the demo, as ``edgedeploy flash`` makes it in an empty directory."""
    progress = ConsoleProgress()
    opened = open_project(directory, progress=progress)
    return bundle_for(load_board(BOARD, project_dir=directory), opened, progress=progress)


def with_changed_weights(bundle: Bundle, directory: Path, where: slice, seed: int) -> Bundle:
    """Return the same release with some of its weights, float32 each, changed a little."""
    directory.mkdir(parents=True)
    old = next(file for file in bundle.files if file.path == WEIGHTS)
    weights = np.fromfile(old.source, np.float32)
    noise = np.random.default_rng(seed).standard_normal(weights[where].size).astype(np.float32)
    # Tags between the weights are tiny as floats, and stay as they are.
    numbers = np.abs(weights[where]) > 1e-12
    weights[where] *= np.where(numbers, 1 + np.float32(NOISE) * noise, 1)
    source = directory / "model.bin"
    weights.tofile(source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    document = json.loads(bundle.manifest.read_text(encoding="utf-8"))
    for item in document["files"]:
        if item["path"] == str(WEIGHTS):
            item["sha256"] = digest
    manifest = directory / "manifest.json"
    manifest.write_bytes(canonical_json(document))
    files = tuple(
        replace(file, source=source, sha256=digest) if file.path == WEIGHTS else file for file in bundle.files
    )
    return replace(bundle, digest=hashlib.sha256(manifest.read_bytes()).hexdigest(), manifest=manifest, files=files)


def unfold(bundle: Bundle, directory: Path) -> Path:
    """Write a release's files as rsync and scp take them: the board's paths, a date for each content."""
    manifest = BundleFile(path=PurePosixPath("manifest.json"), source=bundle.manifest, sha256="", size_bytes=0)
    for file in (manifest, *bundle.files):
        path = directory / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.source, path)
        path.chmod(file.mode)
        # rsync takes a file of the same size and date for the same: content decides the date here.
        seconds = int(hashlib.sha256(path.read_bytes()).hexdigest()[:7], 16)
        os.utime(path, (seconds, seconds))
    return directory
