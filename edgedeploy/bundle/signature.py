"""The signature of a release: Ed25519 over the manifest's exact bytes, which hold the SHA-256 of every file."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import PurePosixPath

from edgedeploy.artifacts import Bundle, BundleFile
from edgedeploy.bundle.keys import SigningKey
from edgedeploy.bundle.load import digest_of
from edgedeploy.bundle.manifest import SIGNATURES_DIRECTORY
from edgedeploy.errors import BundleError
from edgedeploy.files import write_whole


def sign_bundle(bundle: Bundle, key: SigningKey) -> Bundle:
    """Write a key's signature beside the manifest and return the bundle with it.

    The file is named by the public key, so that signatures of several keys lie side by side.

    Raises:
        BundleError: The manifest changed since the bundle was made, or the signature cannot be written.
    """
    path = PurePosixPath(SIGNATURES_DIRECTORY) / f"{key.public.digits}.sig"
    target = bundle.manifest.parent / path
    try:
        content = bundle.manifest.read_bytes()
        if digest_of(content) != bundle.digest:
            raise BundleError(f"{bundle.manifest} changed since it was made", hint="run the command again")
        signature = key.sign(content)
        target.parent.mkdir(exist_ok=True)
        write_whole(target, signature)
    except OSError as error:
        raise BundleError(f"{target} cannot be written: {error.strerror}", hint="check the free disk space") from error
    file = BundleFile(
        path=path, source=target, sha256=hashlib.sha256(signature).hexdigest(), size_bytes=len(signature), mode=0o644
    )
    return replace(bundle, signatures=(*bundle.signatures, file))
