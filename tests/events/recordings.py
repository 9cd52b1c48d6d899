"""Utterances and recordings of tones at known times."""

from __future__ import annotations

from seqlab.data.utterance import Utterance


def utterance(name: str) -> Utterance:
    """Of a file that is not looked at."""
    return Utterance(name, f"/nowhere/{name}.wav", 0.0, 20.0, 8000)
