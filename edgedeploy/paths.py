"""Where edgedeploy keeps things on the host. Three environment variables override the platform's directories."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

CACHE_VARIABLE = "EDGEDEPLOY_CACHE"
STATE_VARIABLE = "EDGEDEPLOY_STATE"
CONFIG_VARIABLE = "EDGEDEPLOY_CONFIG"


def cache_dir() -> Path:
    """Return the directory of everything that can be made again: engine, builds, images, downloads, conversions."""
    return _directory(CACHE_VARIABLE, platformdirs.user_cache_path("edgedeploy"))


def state_dir() -> Path:
    """Return the directory of what must survive a cache clean: twins' disks and keys, known hosts."""
    return _directory(STATE_VARIABLE, platformdirs.user_state_path("edgedeploy"))


def config_dir() -> Path:
    """Return the user's configuration directory; ``boards/*.toml`` in it are the user's own boards."""
    return _directory(CONFIG_VARIABLE, platformdirs.user_config_path("edgedeploy"))


def resource_dir() -> Path:
    """Return where ``boards``, ``csrc``, ``toolchains`` and ``examples`` are: the checkout or the package's copy."""
    packaged = Path(__file__).parent / "_resources"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parent.parent


def _directory(variable: str, default: Path) -> Path:
    value = os.environ.get(variable)
    return Path(value).expanduser().absolute() if value else default
