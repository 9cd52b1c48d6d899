"""The heads within a head that a search needs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqlab.contracts import Head
from seqlab.errors import SeqlabError


def find_head(head: Head, output: str, frame_synchronous: bool = False) -> Head | None:
    """The head itself, or the first of a joint head's, that gives ``output``; None if none does.

    Args:
        head: Any.
        output: "frames" or "tokens".
        frame_synchronous: Whether a transducer is wanted, or an attention decoder.
    """
    named = getattr(head, "heads", None)
    for each in [head] if named is None else named.values():
        if each.output == output and each.frame_synchronous == frame_synchronous:
            found: Head = each
            return found
    return None


def need_head(head: Head, output: str, frame_synchronous: bool, what: str) -> Head:
    """``find_head``, or an error that says what is missing.

    Raises:
        SeqlabError: There is none.
    """
    found = find_head(head, output, frame_synchronous)
    if found is None:
        raise SeqlabError(
            f"{type(head).__name__} is and holds no {what}, which this decoder searches; choose "
            "another decoder or head"
        )
    return found


def selected(head: Head, state: Any, rows: Tensor, count: int) -> Any:
    """State of the hypotheses ``rows`` (N',) of ``count``; as it is where all stay in place."""
    if len(rows) == count and torch.equal(rows, torch.arange(count, device=rows.device)):
        return state
    return head.select(state, rows)
