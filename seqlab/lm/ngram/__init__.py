"""Counting, estimating and querying n-gram language models, without torch."""
