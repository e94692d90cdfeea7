"""Damaged bundles, manifests against the schema, and paths that would leave a release: nothing gets through."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_bundle import build, manifest_of

from edgedeploy.artifacts import (
    canonical_json,
)
from edgedeploy.bundle.load import SOURCES_FILE, load_bundle
from edgedeploy.bundle.manifest import MANIFEST_FILE, parse_manifest, safe_path
from edgedeploy.errors import BundleError

# --- damaged bundles -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["sources/det.bin", "sources/det.param", "sources/edgedeploy-runner", "bundle/golden/out0.npy"]
)
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_tampered_file_is_refused(tmp_path: Path, path: str, damage: str) -> None:
    build(tmp_path)
    victim = tmp_path / path
    content = victim.read_bytes()
    if damage == "remove":
        victim.unlink()
    else:
        victim.write_bytes(content[:-1] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    expected = {"flip": "has the SHA-256", "cut": "bytes, the manifest says", "remove": "does not exist"}[damage]
    with pytest.raises(BundleError, match=expected) as caught:
        load_bundle(tmp_path / "bundle")
    assert caught.value.hint


@pytest.mark.parametrize("path", ["golden/out0.npy", "golden"])
def test_a_link_in_a_bundle_is_refused(tmp_path: Path, path: str) -> None:
    build(tmp_path)
    (tmp_path / "bundle" / path).rename(tmp_path / "outside")
    (tmp_path / "bundle" / path).symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match="is a symbolic link"):
        load_bundle(tmp_path / "bundle")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"schema": 1}',
        b"[" * 100_000,
        b'{"schema": 1e400}',
        b'{"schema": 1' + b"0" * 5000 + b"}",
    ],
    ids=lambda content: repr(content[:12]),
)
def test_a_malformed_manifest_is_a_bundle_error(tmp_path: Path, content: bytes) -> None:
    build(tmp_path)
    (tmp_path / "bundle" / MANIFEST_FILE).write_bytes(content)
    with pytest.raises(BundleError, match="is not a valid manifest"):
        load_bundle(tmp_path / "bundle")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with pytest.raises(BundleError):
        parse_manifest(content, origin="fuzz")


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"model/model.bin": 3}', b"\xff", b"[" * 100_000])
def test_malformed_sources_are_a_bundle_error(tmp_path: Path, content: bytes) -> None:
    build(tmp_path)
    (tmp_path / "bundle" / SOURCES_FILE).write_bytes(content)
    with pytest.raises(BundleError, match=SOURCES_FILE):
        load_bundle(tmp_path / "bundle")


def test_a_directory_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a bundle"):
        load_bundle(tmp_path)


def _edit(*keys: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    def apply(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return apply


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (_edit("schema", value=2), r"schema: Input should be 1 \(is 2\)"),
        (_edit("extra", value=1), r"extra: Extra inputs"),
        (_edit("app", value="../evil"), r"app: .*\(is '../evil'\)"),
        (_edit("app", value=".."), r"app: "),
        (_edit("board", value="a/b"), r"board: "),
        (_edit("triple", value="aarch64"), r"triple: "),
        (_edit("model", "precision", value="fp8"), r"model\.precision: "),
        (_edit("files", 0, "mode", value="666"), r"files\.0\.mode: "),
        (_edit("files", 0, "mode", value="4755"), r"files\.0\.mode: "),
        (_edit("model", "param", value="model/none.param"), r"'model/none\.param' is referred to but not among"),
        (_edit("model", "inputs", 0, "shape", value=[]), r"model\.inputs\.0\.shape: "),
        (_edit("model", "inputs", 0, "shape", value=[2, 3, 8, 6]), r"batch of shape must be 1, not 2"),
        (_edit("model", "inputs", 0, "shape", value=[1, 8, 6, 3]), r"color rgb has the shape \[1, 3, height, width\]"),
        (_edit("model", "inputs", 0, "preprocessing", "scale", value=[1.0]), r"mean and scale need 3 values each"),
        (_edit("model", "inputs", 0, "shape", value=["1"]), r"model\.inputs\.0\.shape\.0: "),
        (_edit("model", "inputs", 0, "preprocessing", "mean", value=[0.0, 0.0, 0.0]), r"fingerprint is not that"),
        (_edit("model", "inputs", 0, "preprocessing", "color", value="cmyk"), r"'bgr', 'rgb' or 'gray' \(is 'cmyk'\)"),
        (_edit("model", "outputs", 0, "name", value="out1"), r"the model's outputs name out1 more than once"),
        (_edit("model", "outputs", 0, "name", value="a\nb"), r"model\.outputs\.0\.name: "),
        (_edit("golden", "outputs", value=[]), r"golden outputs \[\] are not the model's"),
        (_edit("golden", "limits", "max_abs_error", value=0), r"golden\.limits\.max_abs_error: .*greater than 0"),
        (_edit("golden", "limits", "cosine", value=2), r"golden\.limits\.cosine: "),
        (_edit("preprocessing_fingerprint", value="0" * 64), r"preprocessing_fingerprint is not that of the inputs"),
        (_edit("requirements", "memory_bytes", value=-1), r"requirements\.memory_bytes: "),
        (_edit("requirements", "glibc", value="new"), r"requirements\.glibc: "),
        (_edit("files", value=[]), r"files: "),
        (_edit("files", 0, "mode", value="4755"), r"files\.0\.mode: .*\(is '4755'\)"),
        (_edit("files", 0, "sha256", value="A" * 64), r"files\.0\.sha256: "),
        (_edit("files", 0, "size_bytes", value=-1), r"files\.0\.size_bytes: "),
        (_edit("files", 0, "path", value="/etc/passwd"), r"files\.0\.path: '/etc/passwd' is not a relative path"),
        (_edit("files", 0, "path", value="../../.bashrc"), r"'\.\./\.\./\.bashrc' is not a relative path"),
        (_edit("files", 0, "path", value="manifest.json"), r"files\.0\.path: manifest\.json cannot list itself"),
        (_edit("files", 0, "path", value="signatures/x.sig"), r"'signatures/x\.sig' lies in signatures"),
        (_edit("files", 0, "path", value="golden/in0.npy"), r"files name golden/in0\.npy more than once"),
        (_edit("files", 0, "path", value="golden"), r"golden cannot be a file and a directory"),
    ],
)  # fmt: skip
def test_a_manifest_against_the_schema_names_the_fault(
    tmp_path: Path, edit: Callable[[dict[str, Any]], None], expected: str
) -> None:
    document = copy.deepcopy(manifest_of(build(tmp_path)))
    edit(document)
    with pytest.raises(BundleError, match=expected):
        parse_manifest(canonical_json(document), origin="edited")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_none_are_refused(tmp_path: Path, number: str) -> None:
    text = build(tmp_path).manifest.read_text(encoding="utf-8")
    with pytest.raises(BundleError, match=r"postprocessing\.threshold"):
        parse_manifest(text.replace('"threshold":0.3', f'"threshold":{number}').encode(), origin="edited")


# --- paths -----------------------------------------------------------------------------------------------------------


@given(st.text(max_size=300))
def test_a_safe_path_stays_below_the_release(text: str) -> None:
    try:
        path = safe_path(text)
    except ValueError:
        return
    assert path == text
    pure = PurePosixPath("/releases/digest") / path
    assert pure.is_relative_to("/releases/digest")
    assert ".." not in pure.parts
    assert str(pure) == f"/releases/digest/{path}"
    assert text.isascii()
    assert text.isprintable()
    assert not set(text) & set("\\ '\"`$;&|<>*?[]{}()!#~\t\n")


@given(
    st.lists(st.from_regex(r"[A-Za-z0-9_]{1,8}", fullmatch=True), min_size=1, max_size=4).map("/".join),
    st.sampled_from(
        ["/{}", "{}/", "../{}", "{}/..", "{}/../x", "./{}", "{}//x", "{}\\x", "{}\n", "{}\0", "{}\x7f", " {}"]
    ),
)
def test_every_way_out_is_refused(plain: str, pattern: str) -> None:
    assert safe_path(plain) == plain
    with pytest.raises(ValueError, match="relative path"):
        safe_path(pattern.format(plain))


@pytest.mark.parametrize("text", ["", ".", "..", "/", "a" * 256, "é", "a\u202eb", "C:\\x", MANIFEST_FILE])
def test_odd_paths_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"path|itself"):
        safe_path(text)
