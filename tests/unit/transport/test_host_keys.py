"""known_hosts: what OpenSSH's own tools write must be understood, and the other way round."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

import pytest

from edgedeploy.errors import AuthenticationError, ChangedHostKeyError, UnknownHostKeyError
from edgedeploy.transport.host_keys import HostKey, fingerprint, host_name, known_keys, remember, verify

NAME = "[192.168.1.20]:2222"


@pytest.fixture(scope="module")
def public_key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, bytes]:
    path = tmp_path_factory.mktemp("key") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    kind, text = path.with_suffix(".pub").read_text(encoding="utf-8").split()[:2]
    return path.with_suffix(".pub"), kind, base64.b64decode(text)


def line(names: str, blob: bytes, marker: str = "") -> str:
    return f"{marker}{names} ssh-ed25519 {base64.b64encode(blob).decode()} a comment\n"


def shown(blob: bytes = b"key", name: str = NAME) -> HostKey:
    return HostKey(name=name, key_type="ssh-ed25519", blob=blob)


def test_fingerprint_is_that_of_ssh_keygen(public_key: tuple[Path, str, bytes]) -> None:
    path, _, blob = public_key
    listing = subprocess.run(["ssh-keygen", "-lf", str(path)], capture_output=True, text=True, check=True).stdout
    assert fingerprint(blob) == listing.split()[1]


def test_names() -> None:
    assert host_name("board", 22) == "board"
    assert host_name("fe80::1", 2200) == "[fe80::1]:2200"


@pytest.mark.parametrize(
    ("patterns", "name", "matches"),
    [
        ("board", "board", True),
        ("board", "BOARD", True),
        ("board", "board2", False),
        ("other,board", "board", True),
        ("b?ard", "board", True),
        ("*.lan", "board.lan", True),
        ("*.lan,!board.lan", "board.lan", False),
        ("!board.lan,*.lan", "board.lan", False),
        (NAME, NAME, True),
        ("192.168.1.20", NAME, False),
        ("[192.168.1.*]:2222", NAME, True),
        ("[!b]oard", "coard", False),
        ("|1|broken", "board", False),
        ("|1|AAAA|!!!!", "board", False),
    ],
)
def test_patterns(tmp_path: Path, patterns: str, name: str, matches: bool) -> None:
    path = tmp_path / "known_hosts"
    path.write_text("# comment\n\nbroken line\nboard ssh-rsa !!!\n" + line(patterns, b"key"), encoding="utf-8")
    found = known_keys(path, name)
    assert [item.line for item in found] == ([5] if matches else [])


def test_names_hashed_by_ssh_keygen_are_understood(public_key: tuple[Path, str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(line(NAME, public_key[2]), encoding="utf-8")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(path)], check=True, capture_output=True)
    assert NAME not in path.read_text(encoding="utf-8")
    assert [item.blob for item in known_keys(path, NAME)] == [public_key[2]]
    # A file with hashed names gets hashed names, and ssh-keygen understands ours.
    remember(path, shown(public_key[2], "another-board"))
    assert "another-board" not in path.read_text(encoding="utf-8")
    subprocess.run(["ssh-keygen", "-F", "another-board", "-f", str(path)], check=True, capture_output=True)


def test_remember_makes_a_private_file_and_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "known_hosts"
    remember(path, shown())
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(path.read_text(encoding="utf-8").rstrip("\n"), encoding="utf-8")  # no newline at the end
    remember(path, shown(b"second", "second"))
    assert [item.blob for item in known_keys(path, NAME)] == [b"key"]
    assert [item.line for item in known_keys(path, "second")] == [2]


def test_remember_through_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to("real")
    remember(tmp_path / "link", shown())
    assert (tmp_path / "link").is_symlink()
    assert known_keys(tmp_path / "real", NAME)


def test_key_that_cannot_be_remembered_is_not_accepted(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnknownHostKeyError, match="cannot be written"):
        verify(shown(), (), path=tmp_path / "file" / "known", expected_fingerprint=None, ask=lambda key: True)


def test_revoked_key_is_refused_even_when_listed(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(line(NAME, b"key") + line("*", b"key", "@revoked "), encoding="utf-8")
    with pytest.raises(ChangedHostKeyError, match=r"revoked in .* line 2"):
        verify(shown(), known_keys(path, NAME), path=path, expected_fingerprint=None, ask=lambda key: True)


def test_certificate_authority_lines_vouch_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(line(NAME, b"key", "@cert-authority "), encoding="utf-8")
    assert known_keys(path, NAME) == ()


def test_one_of_several_known_keys_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(line(NAME, b"old") + line(NAME, b"key"), encoding="utf-8")
    verify(shown(), known_keys(path, NAME), path=path, expected_fingerprint=None, ask=None)
    with pytest.raises(ChangedHostKeyError, match="has changed"):
        verify(
            shown(b"new"),
            known_keys(path, NAME),
            path=path,
            expected_fingerprint=fingerprint(b"new"),
            ask=lambda key: True,
        )


@pytest.mark.parametrize("form", ["{}", "{}=", " {} "])
def test_fingerprint_forms(tmp_path: Path, form: str) -> None:
    path = tmp_path / "known_hosts"
    for text in (fingerprint(b"key"), fingerprint(b"key").removeprefix("SHA256:")):
        verify(shown(), (), path=path, expected_fingerprint=form.format(text), ask=None)


def test_unreadable_file_is_an_error_and_a_missing_one_is_not(tmp_path: Path) -> None:
    assert known_keys(tmp_path / "none", NAME) == ()
    with pytest.raises(AuthenticationError, match="cannot read the known hosts"):
        known_keys(tmp_path, NAME)


def test_long_file_is_searched_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text("".join(line(f"host{index}", os.urandom(8)) for index in range(500)) + line(NAME, b"key"))
    assert [item.line for item in known_keys(path, NAME)] == [501]
