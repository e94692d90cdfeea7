"""``python -m edgedeploy``."""

from edgedeploy.cli.main import run

run()
