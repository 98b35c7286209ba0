"""Benchmarks, run by hand: ``python -m benchmarks``. See README.md in this directory."""
