"""Files written whole or not at all, and locks."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from edgedeploy.files import exclusive, file_sha256, write_whole


def test_a_file_is_written_with_its_mode_and_nothing_else(tmp_path: Path) -> None:
    write_whole(tmp_path / "key", b"secret", mode=0o600)
    write_whole(tmp_path / "page", b"old")
    write_whole(tmp_path / "page", b"new")
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "page").read_bytes() == b"new"
    assert (tmp_path / "page").stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "page"]


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(tmp_path / "page", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "page", b"new")
    assert (tmp_path / "page").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    waited: list[int] = []
    lock = tmp_path / "made" / "lock"
    with exclusive(lock, deadline_s=0) as first:
        assert first
        with exclusive(lock, deadline_s=0, on_wait=lambda: waited.append(1)) as second:
            assert not second
    assert waited == [1]
    with exclusive(lock, deadline_s=0, on_wait=lambda: waited.append(2)) as again:
        assert again
    assert waited == [1]
    assert lock.is_file()


def test_the_hash_is_the_contents(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc" * 100_000)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(b"abc" * 100_000).hexdigest()
