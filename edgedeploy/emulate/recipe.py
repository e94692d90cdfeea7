"""What goes into the image: packages, files of our own, and the rules that make a disk of them. All of it is hashed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

GUEST_DIRECTORY = Path(__file__).parent / "guest"


@dataclass(frozen=True, kw_only=True)
class GuestFile:
    """A file of ours in the image: name under ``guest/``, absolute path in the guest, permission bits."""

    source: str
    destination: str
    mode: int


@dataclass(frozen=True, kw_only=True)
class GuestLink:
    """A symbolic link in the image: unpacking runs no maintainer scripts, so what they would link is listed here."""

    destination: str
    target: str


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The image as data.

    Args:
        version: Raised when the code that builds the image changes what it makes.
        disk_mib: Size of the root file system; small, so that tests of a full disk are cheap.
        modules: Kernel modules the initramfs loads, their dependencies aside.
        excluded: Patterns of paths that are not unpacked.
    """

    version: int
    suite: str
    packages: tuple[str, ...]
    files: tuple[GuestFile, ...]
    links: tuple[GuestLink, ...]
    modules: tuple[str, ...]
    excluded: tuple[str, ...]
    disk_mib: int

    def digest(self, guest_directory: Path = GUEST_DIRECTORY) -> str:
        """Return a hash over the recipe and the bytes of every guest file: 16 hex digits."""
        contents = {item.source: _sha256(guest_directory / item.source) for item in self.files}
        document = json.dumps({"recipe": asdict(self), "contents": contents}, sort_keys=True)
        return hashlib.sha256(document.encode()).hexdigest()[:16]


INITRAMFS_INIT = GuestFile(source="initramfs-init", destination="/init", mode=0o755)

RECIPE = Recipe(
    version=1,
    suite="bookworm",
    packages=(
        "base-files",
        "bash",
        "busybox-static",
        "coreutils",
        "dash",
        "diffutils",
        "findutils",
        "grep",
        "gzip",
        "hostname",
        "iproute2",
        "libc-bin",
        "linux-image-cloud-arm64",
        "mawk",
        "mount",
        "openssh-client",
        "openssh-server",
        "openssh-sftp-server",
        "procps",
        "python3",
        "python3-numpy",
        "sed",
        "tar",
        "util-linux",
        "xz-utils",
    ),
    files=(
        INITRAMFS_INIT,
        GuestFile(source="boot", destination="/usr/lib/edgedeploy/boot", mode=0o755),
        GuestFile(source="control", destination="/usr/lib/edgedeploy/control", mode=0o755),
        GuestFile(source="inittab", destination="/etc/inittab", mode=0o644),
        GuestFile(source="sshd_config", destination="/etc/ssh/sshd_config", mode=0o644),
        GuestFile(source="passwd", destination="/etc/passwd", mode=0o644),
        GuestFile(source="group", destination="/etc/group", mode=0o644),
        GuestFile(source="shadow", destination="/etc/shadow", mode=0o600),
    ),
    links=(
        GuestLink(destination="/usr/lib/edgedeploy/init", target="/usr/bin/busybox"),
        GuestLink(destination="/usr/sbin/poweroff", target="/usr/bin/busybox"),
        GuestLink(destination="/usr/bin/awk", target="mawk"),
        GuestLink(destination="/usr/lib/aarch64-linux-gnu/libblas.so.3", target="blas/libblas.so.3"),
        GuestLink(destination="/usr/lib/aarch64-linux-gnu/liblapack.so.3", target="lapack/liblapack.so.3"),
        GuestLink(destination="/etc/mtab", target="/proc/self/mounts"),
    ),
    modules=("virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio-rng"),
    excluded=(
        "./boot/*",
        "./dev/*",
        "./usr/lib/modules/*",
        "./usr/lib/linux-image-*",
        "./usr/share/locale/*",
        "./usr/share/man/*",
        "./usr/lib/udev/*",
        "./usr/lib/klibc/*",
    ),
    disk_mib=1536,
)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
