"""``python -m training``: the same as ``sightline-train``."""

import sys

from training.cli import main

sys.exit(main())
