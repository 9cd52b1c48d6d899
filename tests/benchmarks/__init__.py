"""Benchmarks against peers, run by hand: `python -m tests.benchmarks.NAME`."""
