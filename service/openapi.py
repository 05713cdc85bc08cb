"""Write the OpenAPI document: ``python -m service.openapi > docs/openapi.json``."""

import json
import sys

from service.app import create_app


def document() -> str:
    """The document of every route, as JSON that a diff can be read of."""
    return json.dumps(create_app().openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
