"""Reads a bundle back from disk and checks every hash before anything of it is pushed."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from edgedeploy.artifacts import BinaryRequirements, Bundle, BundleFile
from edgedeploy.bundle.manifest import MANIFEST_FILE, MANIFEST_LIMIT_BYTES, FilePart, Manifest, parse_manifest
from edgedeploy.errors import BundleError
from edgedeploy.files import file_sha256
from edgedeploy.reading import load_json, read_limited

SOURCES_FILE = "sources.json"

_AGAIN = "edgedeploy flash makes the bundle again"


def digest_of(manifest: bytes) -> str:
    """Return the name of the release whose manifest has these bytes: 64 hex digits."""
    return hashlib.sha256(manifest).hexdigest()


def load_bundle(directory: Path) -> Bundle:
    """Return the bundle of a directory, every file checked.

    Args:
        directory: What ``make_bundle`` wrote. A file of the manifest is looked for in it first, then where
            ``sources.json`` says.

    Raises:
        BundleError: No or an invalid manifest, or a file that is missing, or of another size or hash.
    """
    path = directory / MANIFEST_FILE
    try:
        content = read_limited(path, MANIFEST_LIMIT_BYTES)
    except OSError as error:
        raise BundleError(
            f"{directory} is not a bundle: {path} cannot be read: {error.strerror}", hint=_AGAIN
        ) from None
    manifest = parse_manifest(content, origin=str(path))
    sources = _read_sources(directory)
    return Bundle(
        app=manifest.app,
        board=manifest.board,
        digest=digest_of(content),
        manifest=path.absolute(),
        files=tuple(_checked_file(part, directory, sources) for part in manifest.files),
        requirements=_requirements(manifest),
        memory_bytes=manifest.requirements.memory_bytes,
    )


def _requirements(manifest: Manifest) -> BinaryRequirements:
    part = manifest.requirements
    return BinaryRequirements(
        architecture=part.architecture, isa=part.isa, glibc=part.glibc, glibc_symbol=part.glibc_symbol
    )


def _read_sources(directory: Path) -> dict[str, Path]:
    path = directory / SOURCES_FILE
    try:
        document = load_json(read_limited(path, MANIFEST_LIMIT_BYTES))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}", hint=_AGAIN) from None
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise BundleError(f"{path} does not map paths to files", hint=_AGAIN)
    return {key: Path(value) for key, value in document.items()}


def _check_no_links(directory: Path, path: str) -> None:
    """A link inside a bundle could name any file of this host."""
    for part in (PurePosixPath(path), *PurePosixPath(path).parents):
        if part.parts and (directory / part).is_symlink():
            raise BundleError(f"{directory / part} is a symbolic link", hint=_AGAIN)


def _checked_file(part: FilePart, directory: Path, sources: dict[str, Path]) -> BundleFile:
    own = directory / part.path
    source = own if own.is_file() else sources.get(part.path, own)
    try:
        if source == own:
            _check_no_links(directory, part.path)
        if not source.is_file():
            raise BundleError(f"{part.path} of the bundle is missing: {source} does not exist", hint=_AGAIN)
        size_bytes, sha256 = source.stat().st_size, file_sha256(source)
    except OSError as error:
        raise BundleError(
            f"{part.path} of the bundle: {source} cannot be read: {error.strerror}", hint=_AGAIN
        ) from None
    if size_bytes != part.size_bytes:
        raise BundleError(f"{source} has {size_bytes} bytes, the manifest says {part.size_bytes}", hint=_AGAIN)
    if sha256 != part.sha256:
        raise BundleError(f"{source} has the SHA-256 {sha256}, the manifest says {part.sha256}", hint=_AGAIN)
    return BundleFile(
        path=PurePosixPath(part.path),
        source=source.absolute(),
        sha256=part.sha256,
        size_bytes=part.size_bytes,
        mode=part.mode_bits,
    )
