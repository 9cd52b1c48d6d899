"""Streams, batches and threads give what one utterance gives; memory of streams is bounded."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.contracts import Hypothesis
from seqlab.decoding.kernels.layout import BEAMS, ENTRIES, NODES
from seqlab.decoding.prefix_beam import PrefixBeamDecoder
from seqlab.decoding.prefix_beam_units import TokenUnits
from seqlab.lm.ngram.model import NGramModel
from tests.decoding.prefix_beam_reference import log_probs

UNITS = TokenUnits.characters(["-", " ", "a", "b", "c"])
SOUNDS = TokenUnits.sounds(["-", "x", "y", "z", "w"])
TEXTS = ["ab ba cab", "cab a ab", "b bac ab"]
HOTWORDS = {"cab ab": 4.0, "c": 1.0}


@functools.cache
def decoder(kind: str) -> PrefixBeamDecoder:
    model = NGramModel.estimate(TEXTS, order=3, smoothing="witten_bell")
    if kind == "plain":
        return PrefixBeamDecoder(UNITS, 0.04, beam=12, n_best=5)
    if kind == "delay":
        return PrefixBeamDecoder(UNITS, 0.04, beam=12, n_best=5, max_delay=10)
    if kind == "words":
        return PrefixBeamDecoder(
            UNITS, 0.04, beam=20, language_model=model, lm_weight=1.0, word_bonus=1.0, n_best=5
        )
    if kind == "lexicon":
        return PrefixBeamDecoder(
            UNITS, 0.04, beam=9, language_model=model, lexicon=["ab", "c", "cab"], n_best=5
        )
    lexicon = {"ab": ["x y", "z"], "ba": ["y x"], "cab": ["w x y"], "c": "w", "a": "x", "b": "x"}
    return PrefixBeamDecoder(
        SOUNDS, 0.04, beam=20, language_model=model, lm_weight=0.7, lexicon=lexicon, n_best=5
    )


def best_only(found: PrefixBeamDecoder) -> PrefixBeamDecoder:
    """The same decoder for lists of one, which are made in another way."""
    new = found.with_weights()
    new.n_best, new._answers = 1, replace(found._answers, n_best=1)
    return new


def offline(found: PrefixBeamDecoder, rows: torch.Tensor, hotwords=None) -> list[Hypothesis]:
    return found.decode(rows[None], torch.tensor([len(rows)]), hotwords)[0]


def streamed(found: PrefixBeamDecoder, rows, cuts, hotwords=None) -> list[Hypothesis]:
    state, begin, before = found.initial_state(hotwords), 0, ()
    for end in [*sorted(cuts), len(rows)]:
        stable, partial, state = found.step(rows[begin:end], state)
        begin = end
        assert stable.tokens[: len(before)] == before, "what was final has changed"
        assert partial.tokens[: len(stable.tokens)] == stable.tokens
        assert partial.token_times[: len(stable.tokens)] == stable.token_times
        before = stable.tokens
    answers = found.flush(state)
    for answer in answers:
        if answer.details["complete"]:
            assert answer.tokens[: len(before)] == before
    return answers


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(["plain", "delay", "words", "lexicon", "sounds"]),
    seed=st.integers(0, 10**6), frames=st.integers(0, 60), hot=st.booleans(),
    cuts=st.lists(st.integers(0, 60), max_size=8), sharpness=st.sampled_from([1.0, 3.0, 6.0]),
)  # fmt: skip
def test_any_chunks_equal_the_whole(kind, seed, frames, cuts, sharpness, hot):
    rows = log_probs(seed, frames, 5, sharpness)
    cuts = [min(cut, frames) for cut in cuts]
    hotwords = {w: b for w, b in HOTWORDS.items() if kind != "sounds" or w != "x"} if hot else None
    found = decoder(kind)
    whole = offline(found, rows, hotwords)
    assert streamed(found, rows, cuts, hotwords) == whole
    assert offline(best_only(found), rows, hotwords) == whole[:1]
    assert streamed(best_only(found), rows, cuts, hotwords) == whole[:1]


def test_a_state_can_be_used_twice():
    rows, found = log_probs(1, 40, 5), decoder("words")
    _, _, state = found.step(rows[:20], found.initial_state())
    first = found.flush(found.step(rows[20:], state)[2])
    found.step(log_probs(2, 30, 5), state)
    assert found.flush(found.step(rows[20:], state)[2]) == first == offline(found, rows)
    assert found.flush(state) == offline(found, rows[:20])


@pytest.mark.parametrize("kind", ["plain", "words", "lexicon", "sounds"])
def test_batches_and_threads_change_nothing(kind):
    frames = [30, 0, 45, 1, 60, 17]
    rows = [log_probs(seed, count, 5, 2.0) for seed, count in enumerate(frames)]
    batch = torch.full((6, 64, 5), float("nan"))
    for index, row in enumerate(rows):
        batch[index, : len(row)] = row
    single = [offline(decoder(kind), row, HOTWORDS) for row in rows]
    assert decoder(kind).decode(batch, torch.tensor(frames), HOTWORDS) == single
    threaded = decoder(kind).with_weights()
    threaded.threads = 3
    assert threaded.decode(batch, torch.tensor(frames), HOTWORDS) == single
    assert threaded.decode(batch.double(), torch.tensor(frames), HOTWORDS) == single


def test_long_audio_is_decoded_with_little_memory():
    rows = log_probs(0, 10_000, 5, 1.0)
    found = PrefixBeamDecoder(UNITS, 0.04, beam=8, max_delay=50)
    state, sizes = found.initial_state(), []
    for begin in range(0, len(rows), 1000):
        stable, partial, state = found.step(rows[begin : begin + 1000], state)
        counters = state.search.space.counters
        sizes.append(len(state.search.space.nodes))
        assert counters[NODES] <= 8 * 60 and counters[ENTRIES] <= 3 * 8 * 60
        assert len(partial.tokens) - len(stable.tokens) <= 60
    assert max(sizes) <= 1024
    assert found.flush(state) == offline(found, rows)


def test_arrays_grow_when_nothing_can_be_forgotten():
    """Two readings of the first word stay equally good for ever."""
    rows = torch.full((6000, 5), -12.0)
    rows[0] = torch.tensor([-12.0, -12.0, math.log(0.5), math.log(0.5), -12.0])
    for frame in range(1, 6000):
        rows[frame, (0, 4)[frame % 2]] = -0.00003
    found = PrefixBeamDecoder(UNITS, 0.04, beam=2, n_best=2)
    state = found.initial_state()
    for begin in range(0, 6000, 500):
        stable, _, state = found.step(rows[begin : begin + 500], state)
    assert stable.tokens == () and int(state.search.space.counters[BEAMS]) == 2
    answers = found.flush(state)
    assert {a.text[:2] for a in answers} == {"ac", "bc"} and len(answers[0].tokens) == 3001
    assert answers == offline(found, rows)
    bounded = PrefixBeamDecoder(UNITS, 0.04, beam=2, max_delay=20)
    assert offline(bounded, rows)[0].text in {a.text for a in answers}
