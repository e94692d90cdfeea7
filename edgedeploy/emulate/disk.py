"""A twin's own disk: a qcow2 overlay that holds what the guest changed on top of the shared image."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from edgedeploy.emulate.image import TwinImage
from edgedeploy.emulate.machine import OVERLAY
from edgedeploy.emulate.tools import tool
from edgedeploy.errors import EmulatorBootError
from edgedeploy.progress import Progress
from edgedeploy.reading import load_json

OVERLAY_RECORD = "disk.json"


def ensure_overlay(directory: Path, image: TwinImage, *, fresh: bool, progress: Progress) -> bool:
    """Make the twin's overlay unless it has one that fits the image; returns whether a new one was made.

    An overlay is a set of changed blocks: on any other build of the image it would be garbage, so then it is dropped.
    """
    overlay, record = directory / OVERLAY, directory / OVERLAY_RECORD
    wanted = {"build_id": image.build_id, "image": str(image.disk)}
    if overlay.is_file() and not fresh:
        if _read(record) == wanted:
            return False
        progress.say(f"the board image was rebuilt: {directory.name} starts with a fresh disk")
    record.unlink(missing_ok=True)
    overlay.unlink(missing_ok=True)
    command = [tool("qemu-img"), "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(image.disk), str(overlay)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        message = f"cannot make the disk {overlay}: {done.stderr.strip()}"
        raise EmulatorBootError(message, hint="check the free disk space")
    record.write_text(json.dumps(wanted), encoding="utf-8")
    return True


def _read(record: Path) -> object:
    try:
        return load_json(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
