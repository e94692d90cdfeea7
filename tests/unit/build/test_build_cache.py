"""Entries appear whole or not at all, once, and are made again when damaged."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from edgedeploy.build.cache import content_key, ensure_entry, tree_digest
from edgedeploy.errors import BuildFailedError
from edgedeploy.progress import SILENT


def test_key_does_not_depend_on_the_order_of_inputs() -> None:
    assert content_key({"a": 1, "b": {"c": 2, "d": 3}}) == content_key({"b": {"d": 3, "c": 2}, "a": 1})
    assert content_key({"a": 1}) != content_key({"a": 2})


def test_tree_digest_sees_content_names_and_new_files(tmp_path: Path) -> None:
    (tmp_path / "kernels").mkdir()
    file = tmp_path / "kernels" / "a.cpp"
    file.write_text("int a;")
    seen = {tree_digest(tmp_path)}
    file.write_text("int b;")
    seen.add(tree_digest(tmp_path))
    file.rename(tmp_path / "kernels" / "b.cpp")
    seen.add(tree_digest(tmp_path))
    (tmp_path / "new.S").write_text("")
    seen.add(tree_digest(tmp_path))
    assert len(seen) == 4


def test_tree_digest_leaves_out_what_no_build_reads(tmp_path: Path) -> None:
    (tmp_path / "a.cpp").write_text("int a;")
    before = tree_digest(tmp_path)
    (tmp_path / ".a.cpp.swp").write_text("editor")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_text("bytecode")
    (tmp_path / "_native.cpython-311-x86_64-linux-gnu.so").write_text("in-place build")
    assert tree_digest(tmp_path) == before


def test_entry_is_made_once(tmp_path: Path) -> None:
    calls: list[Path] = []

    def make(staging: Path) -> None:
        calls.append(staging)
        (staging / "lib").mkdir()
        (staging / "lib" / "product").write_text("42")

    entry = tmp_path / "engines" / "0123"
    assert ensure_entry(entry, make, progress=SILENT) == entry
    assert ensure_entry(entry, make, progress=SILENT) == entry
    assert len(calls) == 1
    assert (entry / "lib" / "product").read_text() == "42"


def test_failed_make_leaves_no_entry_and_no_debris(tmp_path: Path) -> None:
    def make(staging: Path) -> None:
        (staging / "half").write_text("written")
        raise BuildFailedError("no", hint="")

    entry = tmp_path / "0123"
    with pytest.raises(BuildFailedError):
        ensure_entry(entry, make, progress=SILENT)
    assert [path.name for path in tmp_path.iterdir()] == ["0123.lock"]


@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_damaged_entry_is_made_again(tmp_path: Path, damage: str) -> None:
    entry = tmp_path / "0123"
    ensure_entry(entry, _write_product, progress=SILENT)
    product = entry / "product"
    if damage == "truncate":
        product.write_text("")
    else:
        product.unlink()
    ensure_entry(entry, _write_product, progress=SILENT)
    assert product.read_text() == "whole"


def test_leftovers_of_a_killed_build_go(tmp_path: Path) -> None:
    leftover = tmp_path / ".0123-abc"
    leftover.mkdir()
    (leftover / "half").write_text("x")
    ensure_entry(tmp_path / "0123", _write_product, progress=SILENT)
    assert not leftover.exists()


def test_two_builds_at_once_make_one_and_the_second_says_that_it_waits(tmp_path: Path) -> None:
    entry = tmp_path / "0123"
    started, go = threading.Event(), threading.Event()
    made: list[int] = []

    def slow(staging: Path) -> None:
        made.append(1)
        started.set()
        assert go.wait(20)
        _write_product(staging)

    said = _Said(go)
    first = threading.Thread(target=lambda: ensure_entry(entry, slow, progress=SILENT))
    first.start()
    assert started.wait(20)
    ensure_entry(entry, slow, progress=said)
    first.join(20)
    assert made == [1]
    assert said.lines == ["Waiting for another build of 0123"]
    assert (entry / "product").read_text() == "whole"


def test_unwritable_cache_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BuildFailedError, match="cannot be written") as caught:
        ensure_entry(tmp_path / "file" / "engines" / "0123", _write_product, progress=SILENT)
    assert "EDGEDEPLOY_CACHE" in caught.value.hint


def test_a_disk_that_fills_up_is_a_typed_error_and_leaves_nothing(tmp_path: Path) -> None:
    def full(staging: Path) -> None:
        _write_product(staging)
        raise OSError(28, "No space left on device")

    with pytest.raises(BuildFailedError, match="No space left"):
        ensure_entry(tmp_path / "0123", full, progress=SILENT)
    assert [path.name for path in tmp_path.iterdir()] == ["0123.lock"]


class _Said:
    """Progress that keeps what is said and then lets the first build go on."""

    def __init__(self, go: threading.Event) -> None:
        self.lines: list[str] = []
        self._go = go
        self.task = SILENT.task

    def say(self, text: str) -> None:
        self.lines.append(text)
        self._go.set()


def _write_product(staging: Path) -> None:
    (staging / "product").write_text("whole")
