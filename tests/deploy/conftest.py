"""These tests share the tiny models of the service's tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "service"))  # for fabricate, which is no test
