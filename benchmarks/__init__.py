"""Load and quality benchmarks; `make bench` and `make bench-peers` run them."""
