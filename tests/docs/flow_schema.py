"""The JSON Schema of flow files, as `docs/flow.schema.json` publishes it.

`python -m tests.docs.flow_schema` writes it anew.
"""

import json
from pathlib import Path

from flows.definition import FlowDefinition

FILE = Path(__file__).resolve().parents[2] / "docs" / "flow.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def flow_schema() -> str:
    """The schema as the file has it."""
    schema = {"$schema": DIALECT, **FlowDefinition.model_json_schema()}
    return json.dumps(schema, ensure_ascii=False, indent=2) + "\n"


def main() -> None:
    """Write the file."""
    FILE.write_text(flow_schema(), encoding="utf-8")


if __name__ == "__main__":
    main()
