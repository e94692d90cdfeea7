"""A twin's overlay fits one build of the image only. The overlays are made by the real qemu-img."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgedeploy.emulate.disk import OVERLAY_RECORD, ensure_overlay
from edgedeploy.emulate.image import TwinImage
from edgedeploy.emulate.machine import OVERLAY
from edgedeploy.errors import EmulatorBootError
from edgedeploy.progress import SILENT


@pytest.fixture
def image(tmp_path: Path) -> TwinImage:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(b"\0" * 65536)
    return TwinImage(digest="d", build_id="one", kernel=disk, initramfs=disk, disk=disk)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "twin"
    path.mkdir()
    return path


def test_an_overlay_is_made_once_and_kept(directory: Path, image: TwinImage) -> None:
    assert ensure_overlay(directory, image, fresh=False, progress=SILENT)
    (directory / OVERLAY).write_bytes(b"changes")
    assert not ensure_overlay(directory, image, fresh=False, progress=SILENT)
    assert (directory / OVERLAY).read_bytes() == b"changes"


def test_fresh_drops_the_changes(directory: Path, image: TwinImage) -> None:
    ensure_overlay(directory, image, fresh=False, progress=SILENT)
    (directory / OVERLAY).write_bytes(b"changes")
    assert ensure_overlay(directory, image, fresh=True, progress=SILENT)
    assert (directory / OVERLAY).read_bytes()[:4] == b"QFI\xfb"


def test_an_overlay_of_another_build_is_dropped(directory: Path, image: TwinImage) -> None:
    ensure_overlay(directory, image, fresh=False, progress=SILENT)
    assert ensure_overlay(directory, replace(image, build_id="two"), fresh=False, progress=SILENT)


def test_an_overlay_without_a_readable_record_is_dropped(directory: Path, image: TwinImage) -> None:
    ensure_overlay(directory, image, fresh=False, progress=SILENT)
    (directory / OVERLAY_RECORD).write_text("{")
    assert ensure_overlay(directory, image, fresh=False, progress=SILENT)


def test_an_image_that_is_gone_is_an_error_of_ours(directory: Path, image: TwinImage) -> None:
    image.disk.unlink()
    with pytest.raises(EmulatorBootError, match=str(image.disk)):
        ensure_overlay(directory, image, fresh=False, progress=SILENT)
