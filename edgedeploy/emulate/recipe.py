"""What goes into the image: packages, files of our own, and the rules that make a disk of them. All of it is hashed."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from edgedeploy.errors import MissingToolError

GUEST_DIRECTORY = Path(__file__).parent / "guest"
SYSTEM_DIRECTORIES = "/usr/local/sbin:/usr/sbin:/sbin"
"""Searched after PATH: mke2fs lies in a directory that ordinary users do not search."""

HOST_TOOLS: tuple[tuple[str, str], ...] = (
    ("qemu-system-aarch64", "qemu-system-arm"),
    ("qemu-img", "qemu-utils"),
    ("mmdebstrap", "mmdebstrap"),
    ("gpg", "gpg"),
    ("mke2fs", "e2fsprogs"),
    ("tar", "tar"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
)
"""Programs of the host and the Debian packages (the same on Ubuntu) that bring them."""

ARCHIVE_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
KEYRING_PACKAGE = "debian-archive-keyring"


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


def find_tool(program: str) -> Path | None:
    """Return where a program of the host is, or None."""
    found = shutil.which(program) or shutil.which(program, path=SYSTEM_DIRECTORIES)
    return Path(found) if found else None


def missing_tools() -> tuple[tuple[str, str], ...]:
    """Return what the host lacks for twins.

    Returns:
        Pairs of program and Debian package, such as ``(("mmdebstrap", "mmdebstrap"),)``; empty when all is there.
    """
    missing = [(program, package) for program, package in HOST_TOOLS if find_tool(program) is None]
    if not ARCHIVE_KEYRING.exists():
        missing.append((str(ARCHIVE_KEYRING), KEYRING_PACKAGE))
    return tuple(missing)


def require_tools(*programs: str) -> None:
    """Make sure that programs are there; without names, all that twins need.

    Raises:
        MissingToolError: Lists what is missing; the hint installs it.
    """
    missing = [pair for pair in missing_tools() if not programs or pair[0] in programs]
    if missing:
        names = ", ".join(program for program, _ in missing)
        packages = " ".join(dict.fromkeys(package for _, package in missing))
        raise MissingToolError(f"not installed on this machine: {names}", hint=f"sudo apt-get install -y {packages}")


def tool(program: str) -> str:
    """Return a program's path for a command line.

    Raises:
        MissingToolError: It is not installed.
    """
    found = find_tool(program)
    if found is None:
        require_tools(program)
        raise MissingToolError(f"not installed on this machine: {program}", hint="see edgedeploy doctor")
    return str(found)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
