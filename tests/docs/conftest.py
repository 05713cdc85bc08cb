"""These tests share the tiny models of the service's tests, and what draws the documentation."""

import sys
from pathlib import Path

_TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(_TESTS / "service"))  # for fabricate and live_server, which are no tests
sys.path.insert(0, str(_TESTS.parent / "docs/make"))
