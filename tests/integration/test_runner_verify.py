"""What the on-board program says to releases that are signed, unsigned, signed by strangers, or altered."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from runner_program import Answer, Runner
from signing_keys import UNSAFE_LISTS, fixed_key, make_unsafe, write_trusted

from edgedeploy.artifacts import canonical_json
from edgedeploy.bundle.keys import SigningKey

pytestmark = pytest.mark.cross

FILE, UNTRUSTED = 4, 9
ALICE, BOB, MALLORY = fixed_key("alice"), fixed_key("bob"), fixed_key("mallory")
CONTENTS = {"bin/edgedeploy-runner": b"program", "model/model.bin": b"weights" * 5000, "golden/deep/in0.npy": b""}


@dataclass(frozen=True, kw_only=True)
class Board:
    """A release and the board's trusted keys."""

    runner: Runner
    release: Path
    trust: Path
    digest: str

    def verify(self, *, digest: str | None = None, app: str = "demo") -> Answer:
        words = ("--release", self.release, "--trust", self.trust, "--digest", digest or self.digest, "--app", app)
        return self.runner("verify", *words)

    def refusal(self, **changes: str) -> tuple[str, str]:
        """Return reason and message of a refusal, which must come with the exit code and one line on stderr."""
        answer = self.verify(**changes)
        assert answer.exit_status == UNTRUSTED, answer
        document = answer.document
        assert (document["verified"], document["required"]) == (False, True)
        assert answer.error == document["message"].replace("\n", " ")
        return document["reason"], document["message"]


def write_release(directory: Path, *signers: SigningKey, **changes: Any) -> str:
    """Write files, manifest and signatures; return the manifest's digest."""
    files = []
    for path, content in CONTENTS.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        files.append({"path": path, "sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)})
    manifest = canonical_json({"schema": 1, "app": "demo", "files": files, **changes})
    (directory / "manifest.json").write_bytes(manifest)
    for signer in signers:
        sign(directory, signer, manifest)
    return hashlib.sha256(manifest).hexdigest()


def sign(directory: Path, signer: SigningKey, manifest: bytes) -> Path:
    path = directory / "signatures" / f"{signer.public.digits}.sig"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(signer.sign(manifest))
    return path


@pytest.fixture
def make(runner: Runner, tmp_path: Path) -> Callable[..., Board]:
    def build(*signers: SigningKey, trusts: tuple[SigningKey, ...] = (ALICE, BOB), **changes: Any) -> Board:
        release = tmp_path / "demo" / "releases" / "release"
        shutil.rmtree(release, ignore_errors=True)
        digest = write_release(release, *signers, **changes)
        return Board(runner=runner, release=release, trust=write_trusted(tmp_path / "trust", *trusts), digest=digest)

    return build


@pytest.mark.parametrize("signers", [(ALICE,), (BOB,), (MALLORY, BOB), (ALICE, BOB)])
def test_a_release_signed_by_a_trusted_key_is_taken(make: Callable[..., Board], signers: tuple[SigningKey]) -> None:
    answer = make(*signers).verify()
    assert answer.exit_status == 0, answer.stderr
    expected = next(key for key in (ALICE, BOB) if key in signers).public
    size_bytes = answer.document.pop("size_bytes")
    assert size_bytes > 35_000
    assert answer.document == {
        "schema": 1, "verified": True, "required": True, "key": expected.digits, "name": expected.name, "files": 4,
        "size_bytes": size_bytes,
    }  # fmt: skip


def test_a_board_that_trusts_no_key_requires_none(make: Callable[..., Board]) -> None:
    answer = make(trusts=()).verify()
    assert (answer.exit_status, answer.document) == (0, {"schema": 1, "verified": False, "required": False})


def test_unsigned(make: Callable[..., Board]) -> None:
    assert make().refusal() == ("unsigned", "the release carries no signature")


def test_signed_by_a_stranger(make: Callable[..., Board]) -> None:
    assert make(MALLORY).refusal()[0] == "unknown-signer"


def test_a_strangers_signature_under_a_trusted_name(make: Callable[..., Board]) -> None:
    board = make(MALLORY)
    folder = board.release / "signatures"
    (folder / f"{MALLORY.public.digits}.sig").rename(folder / f"{ALICE.public.digits}.sig")
    assert board.refusal() == ("altered", "manifest.json: does not match its signature")


def flip(path: Path, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8 % len(content)] ^= 1 << bit % 8
    path.write_bytes(content)


@pytest.mark.parametrize("bit", [0, 7, 255, 256, 511])
def test_no_bit_of_a_signature_may_change(make: Callable[..., Board], bit: int) -> None:
    board = make(ALICE)
    flip(board.release / "signatures" / f"{ALICE.public.digits}.sig", bit)
    assert board.refusal()[0] == "altered"


def test_a_signature_plus_the_group_order_is_not_a_second_signature(make: Callable[..., Board]) -> None:
    board = make(ALICE)
    path = board.release / "signatures" / f"{ALICE.public.digits}.sig"
    content = path.read_bytes()
    order = 2**252 + 27742317777372353535851937790883648493
    path.write_bytes(content[:32] + (int.from_bytes(content[32:], "little") + order).to_bytes(32, "little"))
    assert board.refusal()[0] == "altered"


@pytest.mark.parametrize("length", [0, 63, 65, 4096])
def test_a_signature_of_another_length(make: Callable[..., Board], length: int) -> None:
    board = make(ALICE)
    path = board.release / "signatures" / f"{ALICE.public.digits}.sig"
    path.write_bytes((path.read_bytes() + bytes(4096))[:length])
    assert board.refusal() == ("altered", "manifest.json: does not match its signature")


@pytest.mark.parametrize("length", [0, 63, 64, 65, 4096])
def test_what_is_no_signature_hides_none(make: Callable[..., Board], length: int) -> None:
    """The list names Alice before Bob, so that her file is read first."""
    board = make(BOB)
    (board.release / "signatures" / f"{ALICE.public.digits}.sig").write_bytes(b"\0" * length)
    answer = board.verify()
    assert (answer.exit_status, answer.document["name"]) == (0, "bob"), answer


def test_a_key_of_small_order_signs_nothing(make: Callable[..., Board]) -> None:
    """The neutral element as a key, and a signature that plain verification would take for any message."""
    board = make()
    neutral = "01" + "00" * 31
    text = (board.trust / "keys").read_text(encoding="ascii") + f"key {neutral} nobody\n"
    (board.trust / "keys").write_text(text, encoding="ascii")
    (board.release / "signatures").mkdir()
    (board.release / "signatures" / f"{neutral}.sig").write_bytes(bytes.fromhex(neutral) + bytes(32))
    assert board.refusal()[0] == "altered"


@pytest.mark.parametrize("path", list(CONTENTS)[:2])
@pytest.mark.parametrize("damage", ["flip", "longer", "shorter", "gone", "link", "directory", "pipe", "writable"])
def test_an_altered_file(make: Callable[..., Board], tmp_path: Path, path: str, damage: str) -> None:
    board = make(ALICE)
    victim = board.release / path
    content = victim.read_bytes()
    if damage == "flip":
        flip(victim, 8 * (len(content) - 1))
    elif damage in ("longer", "shorter"):
        victim.write_bytes(content + b"x" if damage == "longer" else content[:-1])
    elif damage == "writable":
        victim.chmod(0o666)
    else:
        victim.rename(tmp_path / "elsewhere")
    if damage == "link":
        victim.symlink_to(tmp_path / "elsewhere")
    elif damage == "directory":
        victim.mkdir()
    elif damage == "pipe":
        os.mkfifo(victim)
    reason, message = board.refusal()
    assert reason == "altered"
    assert message.startswith(f"{path}: ")
    expected = {
        "flip": "another SHA-256", "longer": "the manifest lists", "shorter": "the manifest lists", "gone": "No such",
        "link": "symbolic link", "directory": "not a regular file", "pipe": "not a regular file",
        "writable": "written by others",
    }  # fmt: skip
    assert expected[damage] in message


def test_a_directory_that_is_a_link(make: Callable[..., Board], tmp_path: Path) -> None:
    board = make(ALICE)
    (board.release / "model").rename(tmp_path / "model")
    (board.release / "model").symlink_to(tmp_path / "model")
    assert "behind a symbolic link" in board.refusal()[1]


@pytest.mark.parametrize("path", [".", "model", "golden/deep", "signatures"])
def test_a_directory_that_others_can_write(make: Callable[..., Board], path: str) -> None:
    board = make(ALICE)
    (board.release / path).chmod(0o777)
    reason, message = board.refusal()
    assert (reason, "written by others" in message) == ("altered", True)


@pytest.mark.parametrize("place", ["releases", "app"])
def test_a_directory_above_that_others_can_write(make: Callable[..., Board], place: str) -> None:
    board = make(ALICE)
    directory, name = {
        "releases": (board.release.parent, "the directory of releases"),
        "app": (board.release.parents[1], "the app's directory"),
    }[place]
    for mode in (0o775, 0o757, 0o1777):
        directory.chmod(mode)
        assert board.refusal() == ("altered", f"{name}: can be written by others")
    directory.chmod(0o755)
    assert board.verify().exit_status == 0


@pytest.mark.parametrize(
    "path",
    ["extra", "model/extra", "bin/.hidden", "signatures/extra", "signatures/ab.sig", f"signatures/{'A' * 64}.sig",
     f"signatures/{'a' * 64}.sig.sig", f"model/{'a' * 64}.sig"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_nobody_signed(make: Callable[..., Board], path: str, kind: str) -> None:
    board = make(ALICE)
    if kind == "file":
        (board.release / path).write_bytes(b"x")
    elif kind == "directory":
        (board.release / path).mkdir(mode=0)
    else:
        (board.release / path).symlink_to("manifest.json")
    assert board.refusal() == ("altered", f"{path}: is not listed in the manifest")


@pytest.mark.parametrize("path", ["new", "signatures/deep", "golden/deep/deeper"])
def test_a_directory_that_nobody_signed(make: Callable[..., Board], path: str) -> None:
    board = make(ALICE)
    (board.release / path / "deep").mkdir(parents=True)
    (board.release / path / "deep" / f"{'a' * 64}.sig").write_bytes(b"x")
    assert board.refusal() == ("altered", f"{path}: is not listed in the manifest")


@pytest.mark.parametrize("kind", ["writable", "link", "directory", "pipe"])
def test_a_strangers_signature_that_is_no_file_of_the_owners(make: Callable[..., Board], kind: str) -> None:
    board = make(ALICE, MALLORY)
    assert board.verify().exit_status == 0
    path = board.release / "signatures" / f"{MALLORY.public.digits}.sig"
    expected = "is not listed in the manifest"
    if kind == "writable":
        path.chmod(0o646)
        expected = "can be written by others"
    else:
        path.unlink()
    if kind == "link":
        path.symlink_to(f"{ALICE.public.digits}.sig")
    elif kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    assert board.refusal() == ("altered", f"signatures/{path.name}: {expected}")


@pytest.mark.parametrize("path", [".", "..", "../..", "model", "model/model.bin", "signatures", "trust", "keys"])
def test_what_belongs_to_another_user(make: Callable[..., Board], path: str) -> None:
    board = make(ALICE)
    assert board.verify().exit_status == 0
    victim = {"trust": board.trust, "keys": board.trust / "keys"}.get(path, board.release / path)
    # Only root can give files away.
    if os.geteuid() == 0:
        os.chown(victim, 4242, -1)
        answer = board.verify()
        assert answer.exit_status == UNTRUSTED
        assert answer.error.endswith(": belongs to another user")


@pytest.mark.parametrize("slashes", ["/", "//"])
def test_slashes_behind_a_directory_change_nothing(make: Callable[..., Board], tmp_path: Path, slashes: str) -> None:
    board = make(ALICE)
    words = ("--digest", board.digest, "--app", "demo")
    release, trust = (f"{path}{slashes}" for path in (board.release, board.trust))
    assert board.runner("verify", "--release", release, "--trust", trust, *words).exit_status == 0
    (board.release / "model" / "extra").write_bytes(b"x")
    answer = board.runner("verify", "--release", release, "--trust", trust, *words)
    assert answer.error == "model/extra: is not listed in the manifest"
    (tmp_path / "link").symlink_to(board.release)
    assert board.runner("verify", "--release", f"{tmp_path}/link/", "--trust", trust, *words).exit_status == FILE
    (tmp_path / "trusts").symlink_to(board.trust)
    assert board.runner("verify", "--release", release, "--trust", f"{tmp_path}/trusts/", *words).exit_status == FILE


def test_a_manifest_of_another_release_or_app(make: Callable[..., Board]) -> None:
    board = make(ALICE)
    assert board.refusal(digest="0" * 64)[0] == "altered"
    assert board.refusal(app="other") == ("altered", "manifest.json: is for the app 'demo', not other")


def test_a_manifest_that_is_longer_than_any(make: Callable[..., Board]) -> None:
    board = make(ALICE)
    manifest = board.release / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().ljust((16 << 20) + 1))
    sign(board.release, ALICE, manifest.read_bytes())
    assert board.refusal() == ("altered", f"manifest.json: has more than {16 << 20} bytes")


def test_an_altered_manifest(make: Callable[..., Board]) -> None:
    board = make(ALICE)
    manifest = board.release / "manifest.json"
    manifest.write_bytes(manifest.read_bytes() + b"\n")
    assert board.refusal(digest=hashlib.sha256(manifest.read_bytes()).hexdigest())[0] == "altered"


@pytest.mark.parametrize(
    "path",
    ["../outside", "/etc/passwd", "model/../../outside", "a//b", "./a", "", "a b", "$(id)", "a;b", "a\nb",
     "manifest.json", "signatures/x.sig"],
)  # fmt: skip
def test_a_signed_manifest_whose_paths_lead_out(make: Callable[..., Board], tmp_path: Path, path: str) -> None:
    """Even a trusted signer cannot make the board look outside the release."""
    (tmp_path / "outside").write_bytes(b"x")
    files = [{"path": path, "sha256": hashlib.sha256(b"x").hexdigest(), "size_bytes": 1}]
    answer = make(ALICE, files=files).verify()
    assert answer.exit_status == 5, answer
    assert "files[0].path" in answer.error


@pytest.mark.parametrize(
    "text",
    [
        "",
        "edgedeploy trusted keys 1\n",
        "edgedeploy trusted keys 2\nboard {b}\nserial 1\nverifier {v}\n",
        "edgedeploy trusted keys 1\nboard {b}\nserial 0\nverifier {v}\n",
        "edgedeploy trusted keys 1\nboard {b}\nserial -1\nverifier {v}\n",
        "edgedeploy trusted keys 1\nboard {b}\nserial 1\nverifier {b}\n",
        "edgedeploy trusted keys 1\nboard {b}\nserial 1\nverifier {v}\nkey {v}\n",
        "edgedeploy trusted keys 1\nboard {b}\nserial 1\nverifier {v}\nkey {v} a b\n",
        "edgedeploy trusted keys 1\nboard {b}\nserial 1\nverifier {v}\nkey {v} a\nkey {v} b\n",
        "edgedeploy trusted keys 1\nboard {b}\nserial 1\nverifier {v}\nkey {v} a",
        "edgedeploy trusted keys 1\nboard {b}\nserial 1\nverifier {v}\n\n",
    ],
)
def test_a_damaged_list_lets_nothing_through(make: Callable[..., Board], text: str) -> None:
    board = make(ALICE)
    (board.trust / "keys").write_text(text.format(b="0" * 32, v="a" * 64), encoding="ascii")
    answer = board.verify()
    assert answer.exit_status == UNTRUSTED
    assert answer.error.startswith("trusted keys: line ")


def test_a_missing_list_lets_nothing_through(make: Callable[..., Board]) -> None:
    board = make(ALICE)
    (board.trust / "keys").unlink()
    assert board.verify().exit_status == FILE


@pytest.mark.parametrize("damage", UNSAFE_LISTS)
def test_a_list_that_others_could_have_written_lets_nothing_through(
    make: Callable[..., Board], tmp_path: Path, damage: str
) -> None:
    board = make(ALICE)
    expected = make_unsafe(board.trust, tmp_path / "elsewhere", damage)
    answer = board.verify()
    assert (answer.exit_status, answer.stdout) == (UNTRUSTED, "")
    assert answer.error == expected


def test_links_in_a_release_are_refused_by_the_other_commands_too(
    runner: Runner, classifier_release: Path, tmp_path: Path
) -> None:
    for path in ("model/model.bin", "golden/in0.npy", "model"):
        outside = tmp_path / "outside"
        (classifier_release / path).rename(outside)
        (classifier_release / path).symlink_to(outside)
        answer = runner("selftest", "--release", classifier_release)
        assert answer.exit_status == FILE
        assert "symbolic link" in answer.error
        (classifier_release / path).unlink()
        outside.rename(classifier_release / path)
    assert runner("selftest", "--release", classifier_release).exit_status == 0
    assert json.loads((classifier_release / "manifest.json").read_bytes())["app"] == "test"
