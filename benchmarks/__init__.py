"""Benchmarks that a person runs by hand: ``python -m benchmarks``. See README.md beside this file."""
