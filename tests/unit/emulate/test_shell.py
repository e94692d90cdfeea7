"""The system's ssh reads the command line that is made for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edgedeploy.artifacts import Clock, SshEndpoint, TwinEndpoint
from edgedeploy.emulate.shell import ssh_command


@pytest.mark.parametrize("name", ["plain", "with blank", "100%", "%h"])
def test_ssh_finds_the_twins_files(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name
    directory.mkdir()
    (directory / "id").touch()
    ssh = SshEndpoint(
        host="127.0.0.1", port=40022, user="edge", key_file=directory / "id", known_hosts=directory / "known_hosts"
    )
    endpoint = TwinEndpoint(
        name="t", board="b", ssh=ssh, clock=Clock.REAL, core="max", vcpus=1, memory_mib=256, pid=1, boot_s=1.0
    )
    command = ssh_command(endpoint, ["echo", "a b"])
    assert command[-2:] == ["edge@127.0.0.1", "echo 'a b'"]
    # -G prints the configuration that ssh would use.
    read = subprocess.run([command[0], "-G", *command[1:]], capture_output=True, text=True, check=True).stdout
    settings = dict(line.split(" ", 1) for line in read.splitlines() if " " in line)
    assert settings["userknownhostsfile"] == str(directory / "known_hosts")
    assert settings["identityfile"].replace("%%", "%") == str(directory / "id")
    assert settings["port"] == "40022"
    assert settings["stricthostkeychecking"] == "true"
