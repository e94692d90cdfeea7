"""The twins' image: kernel, initramfs and root disk, built without root rights, cached under its content's hash."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edgedeploy.emulate.commands import run_logged
from edgedeploy.emulate.initramfs import base_archive, module_order
from edgedeploy.emulate.recipe import GUEST_DIRECTORY, INITRAMFS_INIT, RECIPE, Recipe
from edgedeploy.emulate.tools import ARCHIVE_KEYRING, require_tools, tool
from edgedeploy.errors import ImageBuildError
from edgedeploy.files import exclusive
from edgedeploy.paths import cache_dir
from edgedeploy.progress import Progress
from edgedeploy.reading import load_json

BUILD_DEADLINE_S = 1800.0
SCRATCH_PREFIX = ".build-"
UNWRITABLE_HINT = "check the free disk space, or set EDGEDEPLOY_CACHE to a directory of yours"
MERGED_USR_HOOK = Path("/usr/share/mmdebstrap/hooks/merged-usr")
# The index of security updates for armhf is not always whole on the mirrors; the release itself is. The guest is cut
# off from every network.
_WITHOUT_UPDATES = {"armhf": ('--setup-hook=sed -i -e /security/d -e /updates/d "$1"/etc/apt/sources.list',)}
NETWORK_HINT = "check the network connection and the free space in the temporary directory, then run it again"


@dataclass(frozen=True, kw_only=True)
class TwinImage:
    """What twins boot from.

    Args:
        digest: The recipe's hash.
        build_id: Unique to this build: an overlay fits only the very disk it was made on.
        disk: Raw ext4 file system, never written to.
    """

    digest: str
    build_id: str
    kernel: Path
    initramfs: Path
    disk: Path


def ensure_image(*, progress: Progress, recipe: Recipe = RECIPE) -> TwinImage:
    """Return the image, building it where the cache does not hold it.

    Raises:
        MissingToolError: A program of the host is missing; the hint installs it.
        ImageBuildError: Download or build failed; nothing half-built is left.
    """
    images = cache_dir() / "images"
    directory = images / recipe.digest()
    found = load_image(directory)
    if found is not None:
        return found
    require_tools()
    try:
        with exclusive(images / f"{directory.name}.lock", deadline_s=BUILD_DEADLINE_S) as held:
            if not held:
                raise ImageBuildError(
                    f"another process has been building {directory} for {BUILD_DEADLINE_S / 60:.0f} minutes",
                    hint="wait for it or end it, then run this again",
                )
            found = load_image(directory)
            return found if found is not None else _build_into(directory, recipe, progress)
    except OSError as error:
        raise ImageBuildError(f"the board image cannot be written: {error}", hint=UNWRITABLE_HINT) from error


def _build_into(directory: Path, recipe: Recipe, progress: Progress) -> TwinImage:
    """Build beside the directory and give the result its name when it is whole; a damaged one makes way."""
    _remove_remains(directory.parent)
    with tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, dir=directory.parent, ignore_cleanup_errors=True) as name:
        _build(recipe, Path(name), progress)
        if directory.exists():
            shutil.rmtree(directory)
        (Path(name) / "result").rename(directory)
    built = load_image(directory)
    if built is None:
        raise ImageBuildError(f"the image in {directory} is not complete", hint=f"delete {directory} and run it again")
    return built


def _remove_remains(images: Path) -> None:
    """Delete what builds left that were killed, judged by age: another recipe's build may be under way."""
    for path in images.glob(f"{SCRATCH_PREFIX}*"):
        if time.time() - path.stat().st_mtime > BUILD_DEADLINE_S:
            shutil.rmtree(path, ignore_errors=True)


def load_image(directory: Path) -> TwinImage | None:
    """Return the finished image in a directory of the cache, or None. Only a finished build has such a name."""
    try:
        document = load_json((directory / "image.json").read_text(encoding="utf-8"))
        image = TwinImage(
            digest=directory.name,
            build_id=document["build_id"],
            kernel=directory / "kernel",
            initramfs=directory / "initramfs",
            disk=directory / "disk.raw",
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return image if all(path.is_file() for path in (image.kernel, image.initramfs, image.disk)) else None


def _build(recipe: Recipe, scratch: Path, progress: Progress) -> None:
    result = scratch / "result"
    result.mkdir()
    packages = scratch / "packages.tar"
    title = "board image: packages"
    unpack_packages(
        recipe.suite,
        recipe.packages,
        packages,
        architecture=recipe.architecture,
        scratch=scratch,
        title=title,
        progress=progress,
    )
    with progress.task("board image: kernel and disk") as task:
        tree = scratch / "tree"
        kernel_tree = scratch / "kernel"
        extract(packages, kernel_tree, only=("./boot/vmlinuz-*", "./usr/lib/modules/*", "./usr/bin/busybox"))
        extract(packages, tree, excluded=recipe.excluded)
        packages.unlink()
        _kernel_files(recipe, kernel_tree, result)
        install_guest_files(recipe, tree)
        disk = result / "disk.raw"
        make_disk(tree, disk, disk_mib=recipe.disk_mib)
        task.update(1, 1)
    document = {"build_id": uuid.uuid4().hex, "recipe": asdict(recipe)}
    (result / "image.json").write_text(json.dumps(document, indent=1), encoding="utf-8")


def unpack_packages(
    suite: str,
    packages: Sequence[str],
    target: Path,
    *,
    architecture: str = "arm64",
    scratch: Path,
    title: str,
    progress: Progress,
) -> None:
    """Write the contents of Debian packages for an architecture, and of all they depend on, as one tar archive.

    The packages are unpacked, not installed: nothing runs emulated. Without root rights ``fakeroot`` stands in for
    them; user namespaces would do too, but hardened kernels forbid them. The mirror is the program's own default.
    """
    require_tools("mmdebstrap", "gpg", str(ARCHIVE_KEYRING))
    command = [
        *_as_root(),
        tool("mmdebstrap"),
        f"--mode={'root' if _is_root() else 'chrootless'}",
        "--variant=extract",
        f"--architectures={architecture}",
        "--components=main",
        f"--keyring={ARCHIVE_KEYRING}",
        f"--hook-dir={MERGED_USR_HOOK}",
        *_WITHOUT_UPDATES.get(architecture, ()),
        f"--include={','.join(packages)}",
        suite,
        str(target),
    ]
    with progress.task(title) as task:
        log = scratch / "mmdebstrap.log"
        run_logged(command, name="mmdebstrap", log=log, task=task, deadline_s=BUILD_DEADLINE_S, hint=NETWORK_HINT)


def extract(source: Path, target: Path, *, only: Sequence[str] = (), excluded: Sequence[str] = ()) -> None:
    """Unpack an archive, or parts of it (tar patterns), into a new directory owned by whoever runs this."""
    target.mkdir()
    command = [tool("tar"), "--extract", "--file", str(source), "--directory", str(target)]
    command += ["--no-same-owner", "--preserve-permissions", "--wildcards"]
    command += [f"--exclude={pattern}" for pattern in excluded]
    _run([*command, *only])
    # Whoever runs this must be able to read, extend and remove the tree, whatever the packages' modes say.
    _run(["chmod", "-R", "u+rwX", str(target)])


def _kernel_files(recipe: Recipe, tree: Path, result: Path) -> None:
    kernels = list((tree / "boot").glob("vmlinuz-*"))
    versions = list((tree / "usr/lib/modules").iterdir())
    if len(kernels) != 1 or len(versions) != 1:
        raise ImageBuildError(f"expected one kernel, found {[path.name for path in kernels]}", hint=NETWORK_HINT)
    shutil.move(kernels[0], result / "kernel")
    modules = [(path.name, path.read_bytes()) for path in module_order(versions[0], recipe.modules)]
    busybox = (tree / "usr/bin/busybox").read_bytes()
    init = (GUEST_DIRECTORY / INITRAMFS_INIT.source).read_bytes()
    (result / "initramfs").write_bytes(base_archive(busybox=busybox, init=init, modules=modules))


def install_guest_files(recipe: Recipe, tree: Path) -> None:
    """Put the recipe's own files and links into the root tree."""
    for item in recipe.files:
        if item != INITRAMFS_INIT:
            path = tree / item.destination.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((GUEST_DIRECTORY / item.source).read_bytes())
            path.chmod(item.mode)
    for link in recipe.links:
        path = tree / link.destination.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(link.target)
    for directory in ("home/edge", "root", "proc", "sys", "dev", "run", "tmp"):
        (tree / directory).mkdir(parents=True, exist_ok=True)
    (tree / "tmp").chmod(0o1777)


def make_disk(tree: Path, disk: Path, *, disk_mib: int) -> None:
    """Write a directory tree as an ext4 file system whose files all belong to root, without mounting anything."""
    command = [*_as_root(), tool("mke2fs"), "-q", "-t", "ext4", "-m", "0", "-L", "edgedeploy", "-E", "root_owner=0:0"]
    _run([*command, "-d", str(tree), str(disk), f"{disk_mib}M"])


def _is_root() -> bool:
    return os.geteuid() == 0


def _as_root() -> list[str]:
    """Return the prefix under which the files of whoever runs this look like root's."""
    return [] if _is_root() else [tool("fakeroot"), "--"]


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        message = f"{' '.join(command[:4])} ... failed with status {done.returncode}\n{done.stderr[-2000:]}"
        raise ImageBuildError(message, hint=NETWORK_HINT)
