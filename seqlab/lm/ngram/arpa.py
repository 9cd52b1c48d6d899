"""ARPA files: the text form of n-gram models that all toolkits share. Logarithms to base 10."""

from __future__ import annotations

from seqlab.lm.ngram.arpa_read import read_arpa
from seqlab.lm.ngram.arpa_write import write_arpa

__all__ = ["read_arpa", "write_arpa"]
