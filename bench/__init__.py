"""The benchmark: `python -m bench` measures, `python -m bench.report` writes down what was measured."""
