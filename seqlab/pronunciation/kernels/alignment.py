"""Compiled loops over all ways to cut a word and its phones into pairs of chunks.

A chunk is a run of letters or of phones. ``letter_chunks[k - 1, i]`` is the number of the chunk of
k letters that begins at letter i, ``phone_chunks[m, j]`` that of the m phones at phone j, the
empty one of number 0 included; where a chunk would leave its word, nothing reads them.
Several letters never stand for several phones.
"""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled


@compiled
def expected_counts(letter_chunks, letter_starts, phone_chunks, phone_starts, weights, counts):
    """Expectation step of EM: how often each pair of chunks is used, over all alignments.

    Args:
        letter_chunks: numbers of chunks (K, letters), int32.
        letter_starts: first letter of each word, and the end (W + 1,), int64.
        phone_chunks: numbers of chunks (M + 1, phones), int32.
        phone_starts: first phone of each word, and the end (W + 1,), int64.
        weights: probability of each pair of chunks (A, B), float64.
        counts: the expected counts are added to it (A, B), float64.

    Returns:
        Sum of the words' log-likelihoods, and how many words have an alignment.
    """
    most_letters, most_phones = len(letter_chunks), len(phone_chunks) - 1
    total, aligned = 0.0, 0
    for w in range(len(letter_starts) - 1):
        first, begin = letter_starts[w], phone_starts[w]
        n, m = letter_starts[w + 1] - first, phone_starts[w + 1] - begin
        alpha, beta = np.zeros((n + 1, m + 1)), np.zeros((n + 1, m + 1))
        alpha[0, 0], beta[n, m] = 1.0, 1.0
        for i in range(n):
            for j in range(m + 1):
                if alpha[i, j] == 0.0:
                    continue
                for k in range(1, min(most_letters, n - i) + 1):
                    for size in range(min(most_phones if k == 1 else 1, m - j) + 1):
                        a = letter_chunks[k - 1, first + i]
                        b = phone_chunks[size, begin + j] if size else 0
                        alpha[i + k, j + size] += alpha[i, j] * weights[a, b]
        likelihood = alpha[n, m]
        if likelihood <= 0.0:
            continue
        total += np.log(likelihood)
        aligned += 1
        for i in range(n - 1, -1, -1):
            for j in range(m, -1, -1):
                if alpha[i, j] == 0.0:
                    continue
                for k in range(1, min(most_letters, n - i) + 1):
                    for size in range(min(most_phones if k == 1 else 1, m - j) + 1):
                        if beta[i + k, j + size] > 0.0:
                            a = letter_chunks[k - 1, first + i]
                            b = phone_chunks[size, begin + j] if size else 0
                            passed = weights[a, b] * beta[i + k, j + size]
                            beta[i, j] += passed
                            counts[a, b] += alpha[i, j] * passed / likelihood
    return total, aligned


@compiled
def best_alignments(
    letter_chunks, letter_starts, phone_chunks, phone_starts, scores, cuts, lengths
):
    """The likeliest alignment of each word.

    Args:
        letter_chunks: as for ``expected_counts``.
        letter_starts: as for ``expected_counts``.
        phone_chunks: as for ``expected_counts``.
        phone_starts: as for ``expected_counts``.
        scores: log-probability of each pair of chunks (A, B), float64; -inf where there is none.
        cuts: receives for each pair used the letters and phones it takes (letters, 2), uint8;
            those of a word begin at its first letter.
        lengths: receives the number of pairs of each word, 0 without an alignment (W,), int32.
    """
    most_letters, most_phones = len(letter_chunks), len(phone_chunks) - 1
    for w in range(len(letter_starts) - 1):
        first, begin = letter_starts[w], phone_starts[w]
        n, m = letter_starts[w + 1] - first, phone_starts[w + 1] - begin
        best = np.full((n + 1, m + 1), -np.inf)
        back = np.zeros((n + 1, m + 1, 2), np.uint8)
        best[0, 0] = 0.0
        for i in range(n):
            for j in range(m + 1):
                if best[i, j] == -np.inf:
                    continue
                for k in range(1, min(most_letters, n - i) + 1):
                    for size in range(min(most_phones if k == 1 else 1, m - j) + 1):
                        a = letter_chunks[k - 1, first + i]
                        b = phone_chunks[size, begin + j] if size else 0
                        score = best[i, j] + scores[a, b]
                        if score > best[i + k, j + size]:
                            best[i + k, j + size] = score
                            back[i + k, j + size, 0], back[i + k, j + size, 1] = k, size
        lengths[w] = 0
        if best[n, m] == -np.inf:
            continue
        i, j, used = n, m, 0
        while i > 0:
            k, size = back[i, j, 0], back[i, j, 1]
            i, j, used = i - k, j - size, used + 1
        lengths[w] = used
        i, j = n, m
        while i > 0:
            k, size = back[i, j, 0], back[i, j, 1]
            used -= 1
            cuts[first + used, 0], cuts[first + used, 1] = k, size
            i, j = i - k, j - size
