"""Compiled loops that find the best path of a token sequence through CTC's log-probabilities.

N tokens have 2 N + 1 states: before each token, and after the last, stands a place k (0 to N)
where frames are blank; token k (0 to N - 1) has a state of its own. Some places are gaps: there a
frame may also hold anything else, for a price, and from one gap the path may skip to the next
without a frame, for another. Scores are relative to the best class of each frame, so they stay
small over hours.

Only the states of ``window`` tokens are looked at in one frame; the window follows the best state.
Scores of tokens are stored one place later (token k at k + 1), so that there is one before token 0.
"""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled

FROM_SAME, FROM_PLACE, FROM_TOKEN, FROM_GAP = 0, 1, 2, 3  # what the arrays of arrows hold
_EVERY = 32  # frames between two looks at where the best state is


@compiled
def forward(
    log_probs, best, blank, graph, gap_cost, window, places, tokens, lows, follow, arrows, first
):
    """Advance the scores of all states over the frames ``first`` to ``first + count - 1``.

    Args:
        log_probs: of these frames (count, C).
        best: the largest of each frame (count,).
        blank: index of the blank.
        graph: labels (N,), hops (N,; 0, or -inf where a blank must stand before the token),
            gaps (G,; ascending places), skips (G - 1,; price of skipping from each to the next).
        gap_cost: what a frame costs at most in a gap, beyond its best class.
        window: tokens looked at in one frame.
        places: scores (N + 1,) before these frames, -inf beyond the window; after them on return.
        tokens: scores (N + 1,), token k at k + 1; the same.
        lows: first token looked at in each frame of the recording (T,); written if ``follow``.
        follow: move the window; otherwise take it from ``lows``.
        arrows: uint8, (count, window + 1) of places and the same of tokens, to receive whence the
            best path comes; of length 0 to leave it out.
        first: index of the first frame.
    """
    labels, hops, gaps, skips = graph
    count = len(labels)
    to_places, to_tokens = arrows
    record = len(to_places) > 0
    row = np.empty(log_probs.shape[1], np.float64)
    nothing = np.empty(window + 1, np.uint8)
    new_places, new_tokens = np.full(count + 1, -np.inf), np.full(count + 1, -np.inf)
    low = lows[max(0, first - 1)]
    for frame in range(len(log_probs)):
        if follow and (first + frame) % _EVERY == 0 and first + frame > 0:
            low = _followed(places, tokens, low, window, count)
        if follow:
            lows[first + frame] = low
        else:
            low = lows[first + frame]
        high = min(low + window, count)
        tokens[low] = -np.inf  # the token before the window
        for c in range(len(row)):
            row[c] = log_probs[frame, c] - best[frame]
        _step_tokens(
            row,
            labels,
            hops,
            places,
            tokens,
            new_tokens,
            low,
            high,
            to_tokens[frame] if record else nothing,
        )
        here = to_places[frame] if record else nothing
        _step_places(row[blank], places, tokens, new_places, low, high, here)
        more = max(-gap_cost, row[blank]) - row[blank]
        _step_gaps(more, gaps, skips, new_places, low, high, here)
        places[low : high + 1] = new_places[low : high + 1]
        tokens[low + 1 : high + 1] = new_tokens[low + 1 : high + 1]


@compiled
def _step_tokens(row, labels, hops, places, tokens, new_tokens, low, high, arrows):
    for k in range(low, high):
        score, arrow = tokens[k + 1], FROM_SAME
        entered, hopped = places[k], tokens[k] + hops[k]
        arrow = FROM_PLACE if entered > score else arrow
        score = entered if entered > score else score
        arrow = FROM_TOKEN if hopped > score else arrow
        score = hopped if hopped > score else score
        new_tokens[k + 1] = score + row[labels[k]]
        arrows[k - low] = arrow


@compiled
def _step_places(blank, places, tokens, new_places, low, high, arrows):
    for k in range(low, high + 1):
        stay, left = places[k], tokens[k]
        arrows[k - low] = FROM_TOKEN if left > stay else FROM_SAME
        new_places[k] = (left if left > stay else stay) + blank


@compiled
def _step_gaps(more, gaps, skips, places, low, high, arrows):
    """What makes a gap of a place: frames are cheaper, and the gap before may be left for it."""
    index = np.searchsorted(gaps, low)
    within = False  # the gap before is looked at, too
    while index < len(gaps) and gaps[index] <= high:
        k = gaps[index]
        places[k] += more
        if within:
            skipped = places[gaps[index - 1]] - skips[index - 1]
            if skipped > places[k]:
                places[k] = skipped
                arrows[k - low] = FROM_GAP
        within = True
        index += 1


@compiled
def _followed(places, tokens, low, window, count):
    """The window's new first token: it keeps an eighth of its tokens behind the best state."""
    high = min(low + window, count)
    best, place = -np.inf, low
    for k in range(low, high + 1):
        if places[k] > best:
            best, place = places[k], k
        if k < high and tokens[k + 1] > best:
            best, place = tokens[k + 1], k
    moved = min(place - window // 8, count - window)
    far = moved >= low + max(1, window // 32) or moved == count - window
    return max(low, moved) if far else low


@compiled
def backward(arrows, lows, gaps, first, state, starts, ends):
    """Follow the arrows from the last of their frames to frame ``first``.

    Args:
        arrows: of places and of tokens, as ``forward`` wrote them.
        lows: first token looked at in each frame of the recording (T,).
        gaps: ascending places (G,).
        first: index of the first of these frames.
        state: (2,), int64: k, and 1 for a token or 0 for a place, in the last of these frames; the
            one in the frame before ``first`` on return.
        starts: receives the first frame of each token on the path (N,).
        ends: receives the frame after its last (N,), where it is still -1.
    """
    to_places, to_tokens = arrows
    k, is_token = state[0], state[1] == 1
    frame = len(to_places) - 1
    while frame >= 0:
        low = lows[first + frame]
        if is_token:
            starts[k] = first + frame
            if ends[k] < 0:
                ends[k] = first + frame + 1
            arrow = to_tokens[frame, k - low]
            if arrow == FROM_TOKEN:
                k -= 1
            is_token = arrow != FROM_PLACE
        else:
            arrow = to_places[frame, k - low]
            if arrow == FROM_GAP:
                k = gaps[np.searchsorted(gaps, k) - 1]
                continue  # in the same frame
            if arrow == FROM_TOKEN:
                k -= 1
                is_token = True
        frame -= 1
    state[0], state[1] = k, 1 if is_token else 0


@compiled
def token_sums(log_probs, labels, starts, ends, sums):
    """Sum of each token's log-probability over its frames; 0 where it has none."""
    for k in range(len(labels)):
        total = 0.0
        for frame in range(starts[k], ends[k]):
            total += log_probs[frame, labels[k]]
        sums[k] = total
