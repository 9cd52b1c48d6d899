"""Best paths of phrases that may begin and end anywhere."""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled


@compiled
def follow(
    log_probs, quiet, edges, tops, chains, waits, first,
    scores, begins, blanks, borders, heard, found,
):  # fmt: skip
    """Take frames (T, K) in; the rings of state are changed in place.

    A ring of D frames holds frame t at t % D. All scores are logarithms, at most 0.

    Args:
        log_probs: (T, K), float64, of each column that a token uses.
        quiet: (T,) of the blank.
        edges: (T,) of the best token between words; -inf where there is none.
        tops: (T,) column that is the best class of the frame; -1: none of them.
        chains: columns (N,), offsets (M + 1,), openings (M,), closings (M,) and phrases (M,) of M
            chains of tokens: the first token of an opening waits for the end of another word, the
            last of a closing for the end of its own.
        waits: most blanks between two tokens, and blanks that end a word; both below D.
        first: number of the first of the frames.
        scores: ring (D, N) of the best path that ends in each token.
        begins: ring (D, N) of its first frame.
        blanks: ring (D,) of ``quiet``.
        borders: ring (D,) of ``edges``.
        heard: ring (D,) of ``tops``.
        found: scores, first frames and frames after the last, each (T, P), of the best path of each
            phrase that is complete at each frame; a score is the mean of its tokens.
    """
    columns, offsets, openings, closings, phrases = chains
    size, last = len(blanks), len(offsets) - 1
    for t in range(len(log_probs)):
        now, at, before = first + t, (first + t) % size, (first + t - 1) % size
        entry = _entry(blanks, borders, now, waits[1])
        blanks[at], borders[at], heard[at] = quiet[t], edges[t], tops[t]
        for m in range(last):
            for n in range(offsets[m], offsets[m + 1]):
                score, begin = scores[before, n], begins[before, n]
                on, ends = heard[at] == heard[before] == columns[n], n == offsets[m + 1] - 1
                if n > offsets[m]:
                    score, begin = _moved(
                        scores, begins, blanks, now, n, waits[0], columns[n] != columns[n - 1],
                        score, begin,
                    )  # fmt: skip
                elif openings[m] and entry > score:
                    score, begin = entry, now
                elif not openings[m]:
                    score, begin = 0.0, begin if on else now  # where its sound began
                score += log_probs[t, columns[n]]
                if on and ends and not closings[m] and scores[before, n] > score:
                    score, begin = scores[before, n], begins[before, n]  # until its sound ends
                scores[at, n], begins[at, n] = score, begin
            n = offsets[m + 1] - 1
            score, end = scores[at, n], now
            if closings[m]:
                score, end = _closed(scores[:, n], blanks, edges[t], now, waits[1])
            score, p = score / (n + 1 - offsets[m]), phrases[m]
            if score > found[0][t, p]:
                found[0][t, p] = score
                found[1][t, p], found[2][t, p] = begins[end % size, n], end + 1


@compiled
def _entry(blanks, borders, now, wait):
    """What it costs to have finished a word before frame ``now``."""
    best, total, size = -np.inf, 0.0, len(blanks)
    for back in range(1, wait + 1):
        best = max(best, total + borders[(now - back) % size])
        total += blanks[(now - back) % size]
    return max(best, total)


@compiled
def _moved(scores, begins, blanks, now, n, most, direct, score, begin):
    """The best way into token ``n``: from itself, from the one before it, or over blanks."""
    size, total = len(blanks), 0.0
    before = (now - 1) % size
    if direct and scores[before, n - 1] > score:
        score, begin = scores[before, n - 1], begins[before, n - 1]
    for back in range(1, most + 1):
        total += blanks[(now - back) % size]
        if total <= score:
            break
        before = (now - back - 1) % size
        if scores[before, n - 1] + total > score:
            score, begin = scores[before, n - 1] + total, begins[before, n - 1]
    return score, begin


@compiled
def _closed(ends, blanks, edge, now, wait):
    """The best path whose word ends with frame ``now``, and its last frame."""
    size, total, best, at = len(blanks), 0.0, -np.inf, now
    for back in range(1, wait + 1):
        before = (now - back) % size
        if ends[before] + total + edge > best:
            best, at = ends[before] + total + edge, now - back
        if back < wait:
            total += blanks[before]
    total += blanks[now % size]
    if ends[(now - wait) % size] + total > best:
        best, at = ends[(now - wait) % size] + total, now - wait
    return best, at


@compiled
def settle(scores, begins, ends, fired, hold, first, until, best, paths, last):
    """Wait a little after each firing for the best path; the arrays of state are changed in place.

    Args:
        scores: (T, P).
        begins: (T, P) first frame of each path.
        ends: (T, P) frame after its last.
        fired: (T, P), 0 or more where a phrase fired, never again while one waits.
        hold: frames that are waited.
        first: number of the first of the frames.
        until: (P,) frame at which the waiting is over; -1: none waits.
        best: (P,) best score since the firing.
        paths: (P, 2) its first frame, and the one after its last.
        last: (P,) frame after the last detection; what begins before is left out.

    Returns:
        (n, 3) phrase, first frame and frame after the last of what was found, and scores (n,).
    """
    places, found = [], []
    for t in range(len(scores)):
        now = first + t
        for p in range(scores.shape[1]):
            if fired[t, p] >= 0:
                until[p], best[p] = now + hold, -np.inf
            if until[p] < 0:
                continue
            longer = scores[t, p] == best[p] and begins[t, p] == paths[p, 0]
            if scores[t, p] > best[p] or longer:
                best[p] = scores[t, p]
                paths[p, 0], paths[p, 1] = begins[t, p], ends[t, p]
            if now >= until[p]:
                until[p] = -1
                if paths[p, 0] >= last[p]:
                    last[p] = paths[p, 1]
                    places.append((p, paths[p, 0], paths[p, 1]))
                    found.append(best[p])
    rows, values = np.empty((len(places), 3), np.int64), np.empty(len(found))
    for n in range(len(places)):
        rows[n, 0], rows[n, 1], rows[n, 2] = places[n]
        values[n] = found[n]
    return rows, values
