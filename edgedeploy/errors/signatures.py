"""10x: keys, signatures, and what a board trusts."""

from __future__ import annotations

from edgedeploy.errors.deployment import DeployError
from edgedeploy.errors.root import EdgedeployError


class SigningError(EdgedeployError):
    """Keys on the host."""


class KeyFileError(SigningError):
    """A key that does not exist, exists already, cannot be read, or can be read by others."""

    slug = "key-file"
    exit_code = 100


class PassphraseError(SigningError):
    """The passphrase of a key is wrong, or nobody is there to be asked for it."""

    slug = "passphrase"
    exit_code = 101


class SignatureError(DeployError):
    """A board with trusted keys refuses a release, or a change of these keys; nothing was activated or changed."""


class UnsignedReleaseError(SignatureError):
    slug = "unsigned"
    exit_code = 102


class UnknownSignerError(SignatureError):
    """The release is signed, but by no key that the board trusts."""

    slug = "unknown-signer"
    exit_code = 103


class AlteredReleaseError(SignatureError):
    """On the board, the release is not what was signed: the manifest, a file, or one more file."""

    slug = "altered-release"
    exit_code = 104


class TrustError(SignatureError):
    """The trusted keys on the board cannot be read or changed, or the program that checks with them is not intact."""

    slug = "trust"
    exit_code = 105
