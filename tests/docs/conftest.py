"""What draws the documentation can be imported, as MkDocs and `make docs-diagrams` do."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "docs/make"))
