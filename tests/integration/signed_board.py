"""Trusting keys on the workbench's board, as ``keys trust`` and ``keys untrust`` do it."""

from __future__ import annotations

from pathlib import Path

from deploy_workbench import Workbench

from edgedeploy.bundle.keys import SigningKey
from edgedeploy.deploy import trust as board_trust
from edgedeploy.deploy.trust import Consent, TrustedKeys, read_trusted_keys
from edgedeploy.transport.protocol import Transport


def trust(
    bench: Workbench,
    verifier: Path,
    key: SigningKey,
    consent: SigningKey | None = None,
    *,
    transport: Transport | None = None,
) -> TrustedKeys:
    transport = transport or bench.transport()
    return board_trust.trust(
        transport,
        key.public,
        present=read_trusted_keys(transport),
        verifier=verifier,
        consent=Consent(key=consent.public, sign=consent.sign) if consent else None,
    )


def untrust(
    bench: Workbench, key: SigningKey, consent: SigningKey, *, transport: Transport | None = None
) -> TrustedKeys:
    transport = transport or bench.transport()
    present = read_trusted_keys(transport)
    assert present is not None
    return board_trust.untrust(
        transport, key.public, present=present, consent=Consent(key=consent.public, sign=consent.sign)
    )


def trust_directory(bench: Workbench) -> Path:
    return bench.home / ".edgedeploy" / ".trust"
