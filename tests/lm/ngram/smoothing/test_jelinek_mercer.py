"""Weights of Jelinek-Mercer smoothing: against EM in plain Python, event by event."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from seqlab.errors import DataError
from seqlab.lm.ngram.smoothing.jelinek_mercer import JelinekMercer

from .oracle import Lookup, count, ngrams_of

Event = list[tuple[int, float]]  # for each order that has the history: bucket and c(h w) / c(h)


def text(seed: int, size: int) -> list[list[str]]:
    """Sentences of a chain of words, so that histories tell something of what follows."""
    generator = random.Random(seed)
    sentences = []
    for _ in range(size):
        sentence = generator.choices("abcdefgh", range(8, 0, -1))
        while generator.random() < 0.8:
            following = chr((ord(sentence[-1]) - 96) % 8 + 97)
            sentence.append(following if generator.random() < 0.6 else generator.choice("abcdefgh"))
        sentences.append(sentence)
    return sentences


def events_of(training, held_out, order, by_count, left_out):
    """All words of ``held_out`` after their histories, judged by the training text."""
    grams = ngrams_of(training, order)
    histories = [{} for _ in range(order)]
    for k, counted in enumerate(grams):
        for gram, c in counted.items():
            if gram != ("<s>",):
                histories[k][gram[:-1]] = histories[k].get(gram[:-1], 0) + c
    events = []
    for sentence in held_out:
        marked = ("<s>", *sentence, "</s>")
        for i in range(1, len(marked)):
            event: list[tuple[int, float] | None] = []
            for k in range(order):
                h = marked[i - k : i] if k <= i else None
                total = histories[k].get(h, 0) - left_out
                if h is None or total <= 0:
                    event.append(None)
                    continue
                bucket = total.bit_length() - 1 if by_count else 0
                event.append((bucket, (grams[k][(*h, marked[i])] - left_out) / total))
            events.append(event)
    return events


def likelihood(events, weights, uniform):
    """Sum of ln P of all events, and of ln(1 - l) of all weights."""
    result = sum(math.log1p(-w) for by_bucket in weights for w in by_bucket.values())
    for event in events:
        p = uniform
        for k, choice in enumerate(event):
            if choice is not None:
                weight = weights[k][choice[0]]
                p = weight * choice[1] + (1 - weight) * p
        result += math.log(p)
    return result


def em(events, order, uniform, steps=400):
    """Weights by order and bucket, one event more in each that goes on to a shorter history."""
    weights = [{e[k][0]: 0.5 for e in events if e[k] is not None} for k in range(order)]
    for _ in range(steps):
        taken = [dict.fromkeys(w, 0.0) for w in weights]
        reached = [dict.fromkeys(w, 1.0) for w in weights]
        for event in events:
            below = [uniform]
            for k, choice in enumerate(event):
                w = 0.0 if choice is None else weights[k][choice[0]]
                below.append(w * (choice[1] if choice else 0) + (1 - w) * below[-1])
            left = 1.0
            for k in reversed(range(order)):
                if event[k] is None:
                    continue
                bucket, share = event[k]
                own = weights[k][bucket] * share / below[k + 1]
                taken[k][bucket] += left * own
                reached[k][bucket] += left
                left *= 1 - own
        weights = [
            {b: taken[k][b] / reached[k][b] for b in by_bucket}
            for k, by_bucket in enumerate(weights)
        ]
    return weights


@pytest.mark.parametrize("by_count", [True, False])
@pytest.mark.parametrize("left_out", [False, True])
def test_equals_em_event_by_event(by_count, left_out):
    order, training, held_out = 3, text(1, 60), text(2, 40)
    held_out = training if left_out else [*held_out, ["h", "z", "a"]]  # z is not known
    counts = count(training, order)
    if left_out:
        smoothing = JelinekMercer(by_history_count=by_count)
    else:
        lines = [" ".join(sentence) for sentence in held_out]
        smoothing = JelinekMercer(lines, by_history_count=by_count)
        held_out = [["<unk>" if w == "z" else w for w in s] for s in held_out]
    events = events_of(training, held_out, order, by_count, int(left_out))
    uniform = 1 / (len(counts.ngrams.words) - 1)
    expected = em(events, order, uniform)
    fitted = smoothing.fit(counts)
    ours = [{b: fitted[k][b] for b in by_bucket} for k, by_bucket in enumerate(expected)]
    best = likelihood(events, expected, uniform)
    assert likelihood(events, ours, uniform) > best - 1e-5 * len(events)
    for k, by_bucket in enumerate(expected):
        for bucket, weight in by_bucket.items():
            assert ours[k][bucket] == pytest.approx(weight, abs=0.005), (k, bucket)


def test_weights_beat_their_neighbours():
    """The fitted weights of a held-out text, and one event more, are likelier than others."""
    counts, held_out = count(text(3, 300), 2), text(4, 200)
    lines = [" ".join(sentence) for sentence in held_out]
    weights = [float(w[0]) for w in JelinekMercer(lines, by_history_count=False).fit(counts)]

    def judge(weights):
        model = Lookup(JelinekMercer(weights=weights).estimate(counts))
        marked = [("<s>", *s, "</s>") for s in held_out]
        one_more = sum(math.log1p(-w) for w in weights)
        return one_more + sum(model(s[i], s[:i]) for s in marked for i in range(1, len(s)))

    best = judge(weights)
    for k in range(2):
        for change in (-0.03, 0.03):
            other = weights.copy()
            other[k] = min(max(other[k] + change, 0.001), 0.999)
            assert judge(other) < best


def test_held_out_text_is_what_it_is_by_any_road(tmp_path):
    counts, held_out = count(text(5, 50), 3), text(6, 30)
    path = tmp_path / "held_out.txt"
    path.write_text("".join(" ".join(sentence) + "\n" for sentence in held_out))
    numbers = counts.ngrams.words.numbers(path.read_bytes(), marks=True)
    tables = [
        JelinekMercer(source).estimate(counts)
        for source in (str(path), path, held_out, [" ".join(s) for s in held_out], numbers)
    ]
    for table in tables[1:]:
        for one, two in zip(tables[0].log_prob, table.log_prob, strict=True):
            assert np.array_equal(one, two)


def test_characters(tmp_path):
    counts = count([list("abcab"), list("bca")], 2)
    by_words = JelinekMercer([list("abca")]).fit(counts)
    assert np.array_equal(JelinekMercer(["abca"], unit="character").fit(counts), by_words)


def test_frequent_histories_are_trusted_more():
    weights = JelinekMercer(by_history_count=True).fit(count(text(7, 3000), 2))
    assert weights[1][12] > weights[1][10] > 0.3
    assert (weights[1] == weights[1][weights[1].argmax()]).sum() > 40  # those without any event


def test_a_model_of_what_repeats_trusts_long_histories():
    """Sentences that all are the same: each order alone predicts all, and the longest is taken."""
    model = Lookup(JelinekMercer().estimate(count([list("abcd")] * 50, 3)))
    assert model.p("c", "a b") > 0.98
    assert model.total(["a", "b"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        ([], "held_out holds no words; give text that the training text does not hold"),
        (np.zeros(0, np.int32), "held_out holds no words"),
        (np.array([1, 1, -1], np.int32), "held_out holds no words"),
        (
            np.array([1, 99], np.int32),
            "held_out has word numbers from 1 to 99, which must be withi",
        ),
        (np.array([-2], np.int32), "number it with the model's words"),
    ],
)
def test_held_out_text_of_no_use(held_out, message):
    with pytest.raises(DataError, match=message):
        JelinekMercer(held_out).estimate(count([list("ab")], 2))
