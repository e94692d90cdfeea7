"""Who we are to the board: key files, the agent, and a password as the last resort.

Passwords, passphrases and private keys appear in no message and no log.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paramiko

from edgedeploy.artifacts import SshEndpoint
from edgedeploy.errors import AuthenticationError, ConnectionLostError, DeadlineError

PasswordPrompt = Callable[[str], str]
"""Asked for a password or passphrase: shows the text to a person and returns the answer; empty gives up."""

DEFAULT_KEY_FILES = ("id_ed25519", "id_ecdsa", "id_rsa")
KEY_CLASSES: tuple[type[paramiko.PKey], ...] = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
PROMPT_ATTEMPTS = 3
# sshd ends a connection after six failures by default (MaxAuthTries); an agent with many keys must leave some.
AGENT_KEY_LIMIT = 4


@dataclass
class Attempts:
    """What was tried so far, for the error: descriptions only, never a secret."""

    tried: list[str] = field(default_factory=list)
    allowed: tuple[str, ...] = ()

    def permits(self, method: str) -> bool:
        return not self.allowed or method in self.allowed

    @property
    def permits_password(self) -> bool:
        return self.permits("password") or self.permits("keyboard-interactive")


def authenticate(
    session: paramiko.Transport,
    endpoint: SshEndpoint,
    password_prompt: PasswordPrompt | None,
    *,
    password: str | None = None,
) -> None:
    """Log in: a given key file, else the agent's keys and the user's default ones; then a password.

    Args:
        session: Connected, its host key verified.
        endpoint: User and key file.
        password_prompt: None where nobody can be asked.
        password: One that is known already; tried once.

    Raises:
        AuthenticationError: Nothing was accepted; the message lists what was tried.
        ConnectionLostError, DeadlineError: The board hung up, or did not answer in time.
    """
    attempts = Attempts()
    try:
        if _try_none(session, endpoint, attempts):
            return
        if attempts.permits("publickey"):
            for label, key in _keys(endpoint, attempts, password_prompt):
                if _try_key(session, endpoint, label, key, attempts):
                    return
        if password is not None and attempts.permits_password and _send_password(session, endpoint, password, attempts):
            return
        if (
            password_prompt
            and attempts.permits_password
            and _try_password(session, endpoint, password_prompt, attempts)
        ):
            return
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise _broken_off(session, endpoint, attempts, error) from None
    raise _refused(endpoint, attempts, asked=password_prompt is not None)


def _try_none(session: paramiko.Transport, endpoint: SshEndpoint, attempts: Attempts) -> bool:
    """Ask which methods the board takes (RFC 4252, 5.2); some boards need none."""
    try:
        session.auth_none(endpoint.user)
    except paramiko.BadAuthenticationType as refusal:
        attempts.allowed = tuple(refusal.allowed_types)
        return False
    return session.is_authenticated()


def _try_key(
    session: paramiko.Transport, endpoint: SshEndpoint, label: str, key: paramiko.PKey, attempts: Attempts
) -> bool:
    attempts.tried.append(label)
    try:
        session.auth_publickey(endpoint.user, key)
    except paramiko.AuthenticationException as refusal:
        if not session.is_active() or "timeout" in str(refusal).lower():
            raise
        return False
    return session.is_authenticated()


def _try_password(
    session: paramiko.Transport, endpoint: SshEndpoint, prompt: PasswordPrompt, attempts: Attempts
) -> bool:
    for _ in range(PROMPT_ATTEMPTS):
        password = prompt(f"Password for {endpoint}: ")
        if not password:
            return False
        if _send_password(session, endpoint, password, attempts):
            return True
    return False


def _send_password(session: paramiko.Transport, endpoint: SshEndpoint, password: str, attempts: Attempts) -> bool:
    attempts.tried.append("password")
    try:
        session.auth_password(endpoint.user, password)
    except paramiko.AuthenticationException as refusal:
        if not session.is_active() or "timeout" in str(refusal).lower():
            raise
        return False
    return session.is_authenticated()


def _keys(
    endpoint: SshEndpoint, attempts: Attempts, prompt: PasswordPrompt | None
) -> Iterator[tuple[str, paramiko.PKey]]:
    """Yield ``(description, key)`` in the order to try; a given key file is the only one."""
    if endpoint.key_file is not None:
        if not endpoint.key_file.is_file():
            raise AuthenticationError(
                f"the key file {endpoint.key_file} does not exist",
                hint="check key_file in edgedeploy.toml or --key",
            )
        key = _load_key(endpoint.key_file, attempts, prompt)
        if key:
            yield f"key {endpoint.key_file}", key
        return
    seen = set()
    for agent_key in paramiko.Agent().get_keys()[:AGENT_KEY_LIMIT]:
        seen.add(agent_key.asbytes())
        yield f"agent key {agent_key.fingerprint}", agent_key
    for name in DEFAULT_KEY_FILES:
        path = Path.home() / ".ssh" / name
        default_key = _load_key(path, attempts, prompt) if path.is_file() else None
        if default_key and default_key.asbytes() not in seen:
            yield f"key {path}", default_key


def _load_key(path: Path, attempts: Attempts, prompt: PasswordPrompt | None) -> paramiko.PKey | None:
    """Return a file's key, asking for its passphrase where it has one; None with a note where it cannot be used."""
    key, encrypted = _read_key(path, None)
    if key or not encrypted:
        if key is None:
            attempts.tried.append(f"key {path} (not readable as an ed25519, ecdsa or rsa private key)")
        return key
    for _ in range(PROMPT_ATTEMPTS if prompt else 0):
        passphrase = prompt(f"Passphrase for {path}: ") if prompt else ""
        if not passphrase:
            break
        key, _ = _read_key(path, passphrase)
        if key:
            return key
    attempts.tried.append(f"key {path} (locked by a passphrase that was not given)")
    return None


def _read_key(path: Path, passphrase: str | None) -> tuple[paramiko.PKey | None, bool]:
    """Return the key, or None and whether a passphrase is what is missing."""
    encrypted = False
    for kind in KEY_CLASSES:
        try:
            key = kind.from_private_key_file(str(path), passphrase)
        except paramiko.PasswordRequiredException:
            encrypted = True
        except (paramiko.SSHException, ValueError, OSError):
            continue
        else:
            certificate = path.with_name(path.name + "-cert.pub")
            if certificate.is_file():
                # Of another key, or damaged: the bare key may do, and where it does not, the board refuses it.
                with contextlib.suppress(paramiko.SSHException, ValueError, OSError):
                    key.load_certificate(str(certificate))
            return key, False
    return None, encrypted


def _broken_off(
    session: paramiko.Transport, endpoint: SshEndpoint, attempts: Attempts, error: Exception
) -> AuthenticationError | ConnectionLostError | DeadlineError:
    if "timeout" in str(error).lower():
        return DeadlineError(
            f"{endpoint} did not answer the login in time", hint="the board may be overloaded; try again"
        )
    if attempts.tried and not session.is_active():
        # sshd hangs up after MaxAuthTries failures.
        return _refused(endpoint, attempts, asked=False)
    return ConnectionLostError(f"{endpoint} hung up during the login: {error}", hint="try again")


def _refused(endpoint: SshEndpoint, attempts: Attempts, *, asked: bool) -> AuthenticationError:
    tried = ", ".join(attempts.tried) or "nothing (no key file, no agent key, nobody to ask for a password)"
    allowed = ", ".join(attempts.allowed) or "not said"
    hints = [f"install your key on the board: ssh-copy-id -p {endpoint.port} {endpoint.user}@{endpoint.host}"]
    if attempts.allowed and attempts.permits_password and not asked:
        hints.append("or run the command in a terminal to be asked for the password")
    return AuthenticationError(
        f"{endpoint} refused the login; tried: {tried}; the board takes: {allowed}", hint=", ".join(hints)
    )
