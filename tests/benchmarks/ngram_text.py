"""A generated text of any length, for measuring what depends on size: ``python -m ... WORDS FILE``.

Each word either follows one that it followed before (copying, so that n-grams repeat as in
language) or is drawn from Zipf and Mandelbrot's law over a vocabulary. The same seed gives the
same text.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from seqlab.compiled import compiled

VOCABULARY = 400_000
COPIED = 0.72  # of words follow an earlier occurrence of the word before them
KEPT = 64  # earlier occurrences that are remembered of each word
LINE = 0.045  # chance that a line ends after a word
BLOCK = 1 << 20


@compiled
def _random(state):
    """The next state of xorshift64* (Vigna, 2016), and a number in [0, 1)."""
    state ^= state >> np.uint64(12)
    state ^= state << np.uint64(25)
    state ^= state >> np.uint64(27)
    return state, np.float64((state * np.uint64(2685821657736338717)) >> np.uint64(11)) / 2**53


@compiled
def _generate(state, word, cumulative, followers, seen, out):
    for i in range(len(out)):
        state, u = _random(state)
        state, v = _random(state)
        state, w = _random(state)
        before = word
        known = min(seen[before], KEPT)
        if u < COPIED and known > 0:
            word = followers[before, int(v * known)]
        else:
            word = np.searchsorted(cumulative, v * cumulative[-1])
        place = seen[before]
        if place >= KEPT:  # a fair sample of all followers
            place = int(w * (seen[before] + 1))
        if place < KEPT:
            followers[before, place] = word
        seen[before] += 1
        out[i] = word
    return state, word


def _spelling(number: int) -> str:
    letters = []
    number += 26
    while number:
        number, letter = divmod(number, 26)
        letters.append("etaoinshrdlcumwfgypbvkjxqz"[letter])
    return "".join(letters)


def write_text(path: Path, words: int, seed: int = 1, skip: int = 0) -> None:
    """Write a text of so many words, one sentence a line.

    Args:
        path: of the file.
        words: how many are generated.
        seed: another one gives another text.
        skip: so many of the first words are left out: what follows continues a text of that
            many words.
    """
    rank = np.arange(VOCABULARY)
    cumulative = np.cumsum(1 / (rank + 2.7) ** 1.05)
    followers = np.zeros((VOCABULARY, KEPT), np.int32)
    seen = np.zeros(VOCABULARY, np.int64)
    spelled = np.array([_spelling(i) for i in range(VOCABULARY)], object)
    state, word = np.uint64(0x9E3779B97F4A7C15 + seed), 0
    ends = np.random.default_rng(seed)
    with path.open("w", encoding="ascii") as file:
        for begin in range(0, words, BLOCK):
            out = np.empty(min(BLOCK, words - begin), np.int64)
            state, word = _generate(np.uint64(state), word, cumulative, followers, seen, out)
            text = spelled[out]
            text[ends.random(len(out)) < LINE] += "\n"
            text = text[max(0, skip - begin) :]
            if len(text) == 0:
                continue
            file.write(" ".join(text).replace("\n ", "\n") + " ")
        file.write("\n")


def main() -> None:
    """Write the text that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--skip", type=int, default=0, help="words left out at the beginning")
    args = parser.parse_args()
    write_text(args.file, args.words, args.seed, args.skip)


if __name__ == "__main__":
    main()
