"""The client's results are the schemas of the committed OpenAPI document."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.client import results

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs/openapi.json").read_text())
NAMES = {
    "Classification": "service__tasks__classify__Result",
    "Detections": "service__tasks__detect__Result",
    "Segmentation": "service__tasks__segment__Result",
    "Captions": "service__tasks__caption__Result",
    "Prediction": "service__tasks__classify__Prediction",
}
"""Of those that the document calls by another."""
ROOTS = [*NAMES, "ModelSummary", "PresetShown", "Problem"]
TOLD = {
    *("title", "description", "examples", "additionalProperties"),
    *("contentEncoding", "contentMediaType"),
}
"""Keys of a schema that say nothing of what is valid."""


def bare(schema: Any, is_names: bool = False) -> Any:
    """A schema without its words, and with references by their last word."""
    if isinstance(schema, list):
        return [bare(each) for each in schema]
    if isinstance(schema, str) and schema.startswith("#/"):
        return schema.rpartition("/")[2].rpartition("__")[2]
    if not isinstance(schema, dict):
        return schema
    return {
        key: bare(value, key in ("properties", "mapping") and not is_names)
        for key, value in schema.items()
        if is_names or (key not in TOLD and (key, value) != ("default", None))
    }


@pytest.mark.parametrize("name", ROOTS)
def test_a_result_is_as_in_the_document(name: str) -> None:
    schemas = DOCUMENT["components"]["schemas"]
    own = getattr(results, name).model_json_schema()
    definitions = own.pop("$defs", {})
    assert bare(own) == bare(schemas[NAMES.get(name, name)])
    for each, schema in definitions.items():
        assert bare(schema) == bare(schemas[NAMES.get(each, each)]), each


def test_the_comparison_sees_a_difference() -> None:
    schema = results.ModelSummary.model_json_schema()
    theirs = DOCUMENT["components"]["schemas"]["ModelSummary"]
    assert bare(schema) == bare(theirs)
    del schema["properties"]["description"]
    assert bare(schema) != bare(theirs)


def test_what_a_newer_service_adds_is_kept() -> None:
    given = {"label": "cat", "index": 3, "score": 0.5, "taxon": "Felis"}
    assert results.Prediction.model_validate(given).model_dump(exclude_unset=True) == given


def test_a_client_imports_nothing_of_the_service() -> None:
    code = (
        "import sys; import service.client.command; "
        "own = {'service', 'service.asking', 'service.client'}; "
        "print([n for n in sys.modules if n.startswith('service') and n not in own "
        "and not n.startswith('service.client.')], "
        "[n for n in ('onnxruntime', 'fastapi', 'uvicorn', 'torch', 'PIL', 'numpy') "
        "if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[] []"
