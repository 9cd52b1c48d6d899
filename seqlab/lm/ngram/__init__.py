"""Counting, estimating and querying n-gram language models, without torch.

``NGramModel`` is what most need; it is loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seqlab.lm.ngram.model import NGramModel

__all__ = ["NGramModel"]


def __getattr__(name: str) -> object:
    if name != "NGramModel":
        raise AttributeError(f"module 'seqlab.lm.ngram' has no attribute {name!r}")
    from seqlab.lm.ngram.model import NGramModel

    return NGramModel
