"""What goes into the image: packages, files of our own, and the rules that make a disk of them. All of it is hashed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
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
        architecture: Debian's name, ``arm64`` or ``armhf``.
    """

    version: int
    suite: str
    packages: tuple[str, ...]
    files: tuple[GuestFile, ...]
    links: tuple[GuestLink, ...]
    modules: tuple[str, ...]
    excluded: tuple[str, ...]
    disk_mib: int
    architecture: str = "arm64"

    def digest(self, guest_directory: Path = GUEST_DIRECTORY) -> str:
        """Return a hash over the recipe and the bytes of every guest file: 16 hex digits."""
        contents = {item.source: _sha256(guest_directory / item.source) for item in self.files}
        document = json.dumps({"recipe": _described(self), "contents": contents}, sort_keys=True)
        return hashlib.sha256(document.encode()).hexdigest()[:16]


_ARM64_KERNEL = "linux-image-cloud-arm64"

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
        _ARM64_KERNEL,
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


# The 32-bit guest: the same packages, but another kernel, which has the disk's file system and its checksums as
# modules, and another directory of libraries.
RECIPE_ARMHF = replace(
    RECIPE,
    architecture="armhf",
    modules=(*RECIPE.modules, "crc32c_generic", "ext4"),
    packages=tuple("linux-image-armmp" if name == _ARM64_KERNEL else name for name in RECIPE.packages),
    links=tuple(
        replace(link, destination=link.destination.replace("aarch64-linux-gnu", "arm-linux-gnueabihf"))
        for link in RECIPE.links
    ),
)


def recipe_for(architecture: str) -> Recipe:
    """Return the recipe of the guest for ``aarch64`` or ``armv7l``."""
    return RECIPE_ARMHF if architecture == "armv7l" else RECIPE


def _described(recipe: Recipe) -> dict[str, object]:
    """Return the recipe as it is hashed; the architecture counts where it is not the first one's."""
    document = asdict(recipe)
    if recipe.architecture == RECIPE.architecture:
        del document["architecture"]
    return document


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
