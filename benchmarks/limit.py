"""Pictures a second without HTTP: ``python -m benchmarks.limit MODEL SECONDS < picture.jpg``."""

import sys

from service.bench import limit
from service.cli import loader_of
from service.settings import Settings


def main() -> None:
    """Measure and print one number."""
    model, seconds = sys.argv[1], float(sys.argv[2])
    settings = Settings()
    loaded = loader_of(settings).load(settings.models / model)
    print(limit(loaded, sys.stdin.buffer.read(), settings.limits, seconds).per_second)


if __name__ == "__main__":
    main()
