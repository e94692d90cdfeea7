"""Writes ``boards/schema.json`` from the models: ``python -m edgedeploy.boards.schema``. A test holds the two equal."""

from __future__ import annotations

import json

from edgedeploy.boards.model import Board
from edgedeploy.paths import resource_dir


def schema_text() -> str:
    """Return the JSON schema of a board file as it lies in ``boards/schema.json``."""
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Board.model_json_schema(by_alias=True)}
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Rewrite the schema file of the checkout."""
    path = resource_dir() / "boards" / "schema.json"
    path.write_text(schema_text(), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
