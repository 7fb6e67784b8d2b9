"""This project measured beside others: `python -m benchmarks.STAGE.NAME`, listed in docs/benchmarks.md."""
