"""The benchmark: `python -m bench` measures the budgets and writes `docs/BENCHMARKS.md`."""
