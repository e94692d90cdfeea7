"""The image's hash covers everything that goes in."""

from __future__ import annotations

import shutil
from dataclasses import fields, replace
from pathlib import Path

import pytest

from edgedeploy.emulate import tools
from edgedeploy.emulate.recipe import GUEST_DIRECTORY, RECIPE, GuestLink, recipe_for
from edgedeploy.errors import MissingToolError

CHANGES = {
    "version": RECIPE.version + 1,
    "suite": "trixie",
    "packages": (*RECIPE.packages, "nano"),
    "files": (*RECIPE.files[:-1], replace(RECIPE.files[-1], mode=0o640)),
    "links": (*RECIPE.links, GuestLink(destination="/a", target="/b")),
    "modules": RECIPE.modules[:-1],
    "excluded": RECIPE.excluded[:-1],
    "disk_mib": RECIPE.disk_mib + 1,
    "architecture": "armhf",
}


def test_the_changes_cover_every_field() -> None:
    assert set(CHANGES) == {field.name for field in fields(RECIPE)}


@pytest.mark.parametrize("field", sorted(CHANGES))
def test_every_field_changes_the_hash(field: str) -> None:
    assert replace(RECIPE, **{field: CHANGES[field]}).digest() != RECIPE.digest()


@pytest.mark.parametrize("name", [item.source for item in RECIPE.files])
def test_every_guest_file_changes_the_hash(name: str, tmp_path: Path) -> None:
    guest = tmp_path / "guest"
    shutil.copytree(GUEST_DIRECTORY, guest)
    assert RECIPE.digest(guest) == RECIPE.digest()
    with (guest / name).open("ab") as stream:
        stream.write(b"\n")
    assert RECIPE.digest(guest) != RECIPE.digest()


def test_no_guest_file_is_forgotten() -> None:
    assert {path.name for path in GUEST_DIRECTORY.iterdir()} == {item.source for item in RECIPE.files}


def test_no_key_is_in_the_image() -> None:
    for path in GUEST_DIRECTORY.iterdir():
        assert b"PRIVATE KEY" not in path.read_bytes()


def test_missing_programs_name_their_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools, "SYSTEM_DIRECTORIES", str(tmp_path))
    monkeypatch.setattr(tools, "ARCHIVE_KEYRING", tmp_path / "none.gpg")
    missing = tools.missing_tools()
    assert ("qemu-system-aarch64", "qemu-system-arm") in missing
    assert missing[-1][1] == "debian-archive-keyring"
    with pytest.raises(MissingToolError) as caught:
        tools.require_tools()
    assert "mmdebstrap" in caught.value.message
    assert caught.value.hint.startswith("sudo apt-get install -y qemu-system-arm qemu-utils ")
    # util-linux is wanted for two programs and named once.
    assert len(caught.value.hint.split()) == len(set(caught.value.hint.split()))


def test_a_tool_in_a_system_directory_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "mke2fs"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(tools, "SYSTEM_DIRECTORIES", str(tmp_path))
    assert tools.tool("mke2fs") == str(program)
    with pytest.raises(MissingToolError, match="qemu-img"):
        tools.tool("qemu-img")


def test_the_32_bit_guest_has_its_own_kernel_and_directories() -> None:
    recipe = recipe_for("armv7l")
    assert recipe_for("aarch64") == RECIPE
    assert recipe.architecture == "armhf"
    assert "linux-image-armmp" in recipe.packages
    assert not [name for name in recipe.packages if "arm64" in name]
    assert not [link for link in recipe.links if "aarch64" in link.destination]
    assert recipe.digest() != RECIPE.digest()
