"""What would go wrong in the middle of a training, found before it begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from seqlab.data.config import DataConfig
from seqlab.data.manifest import Utterance
from seqlab.errors import DataError
from seqlab.lengths import ctc_required_length

if TYPE_CHECKING:
    from seqlab.model import SpeechModel
    from seqlab.text.tokenizers import Tokenizer

_MOST_NAMED = 10


def check_targets(utterances: Sequence[Utterance], tokenizer: Tokenizer, split: str) -> None:
    """Check that every utterance has a target that the tokenizer can encode.

    Args:
        utterances: Of one split.
        tokenizer: Fitted on the training set.
        split: Its name, for the message.

    Raises:
        DataError: A target is missing, or holds characters or labels that training has not; all
            of them are named in one message.
    """
    missing = [u.id for u in utterances if u.target is None]
    if missing:
        raise DataError(
            f"{len(missing)} {split} utterance(s) have neither transcript nor label, must have "
            f"one: {listed(missing)}; add it to the manifest, or drop them"
        )
    problems: dict[str, list[str]] = {}
    for utterance in utterances:
        try:
            tokenizer.encode(utterance.target or "")
        except DataError as error:
            problems.setdefault(str(error), []).append(utterance.id)
    if problems:
        first, ids = next(iter(problems.items()))
        others = f" ({len(problems) - 1} more such problems)" if len(problems) > 1 else ""
        raise DataError(f"{split} utterance(s) {listed(ids)}: {first}{others}")


def check_event_data(data: DataConfig) -> None:
    """Raise DataError if training would move sounds away from the times of their events."""
    augment = data.augment
    moving = {
        "augment.speeds": any(factor != 1 for factor in augment.speeds),
        "augment.time_shift_s": augment.time_shift_s > 0,
        "augment.edges_s": augment.edges_s > 0,
        "augment.pauses_s": augment.pauses_s is not None,
        "unknown": data.unknown.per_epoch > 0,
        "silence": data.silence.per_epoch > 0,
    }
    for name, used in moving.items():
        if used:
            raise DataError(
                f"data.{name} is not for events, whose times it does not know; leave it out"
            )


def trained_on(splits: Mapping[str, Sequence[Utterance]]) -> list[str]:
    """What to tell a person about recordings of "train" that another split has too.

    Args:
        splits: Utterances by split, "train" among them.

    Returns:
        One sentence for each split that shares some.
    """
    train = {(u.path, u.start_s) for u in splits["train"]}
    counts = {
        name: sum((u.path, u.start_s) in train for u in utterances)
        for name, utterances in splits.items()
        if name != "train"
    }
    return [
        f"{count} of {len(splits[name])} {name} utterances are in the training set too: figures "
        f"on {name} say little about new recordings"
        for name, count in counts.items()
        if count
    ]


def too_short(
    utterances: Sequence[Utterance],
    model: SpeechModel,
    largest_speed: float = 1.0,
    edges_s: float = 0.0,
) -> list[tuple[Utterance, int, int]]:
    """Utterances that give fewer encoded frames than their targets need.

    CTC needs a frame for each token and one more between equal neighbours; any other
    head needs one frame. Such an utterance has an infinite loss.

    Args:
        utterances: With targets that the model's tokenizer can encode.
        model: Gives sample rate, tokenizer and lengths.
        largest_speed: Largest factor of speed perturbation, above 0: it shortens utterances.
        edges_s: Most seconds that augmentation cuts from either end, of at most a quarter.

    Returns:
        (utterance, encoded frames, frames needed) of each.
    """
    if not utterances:
        return []
    rate = model.frontend.sample_rate
    samples = torch.tensor([int(round(u.duration_s * rate) / largest_speed) for u in utterances])
    samples -= 2 * (samples // 4).clamp(max=round(edges_s * rate))
    encoded = model.encoder.output_lengths(model.frontend.output_lengths(samples)).tolist()
    found = []
    for utterance, frames in zip(utterances, encoded, strict=True):
        needed = 1
        if model.head.output == "frames":
            needed = max(1, ctc_required_length(model.tokenizer.encode(utterance.target or "")))
        if frames < needed:
            found.append((utterance, frames, needed))
    return found


def drop_too_short(
    utterances: Sequence[Utterance],
    model: SpeechModel,
    largest_speed: float,
    skip: bool,
    edges_s: float = 0.0,
) -> tuple[list[Utterance], list[str]]:
    """The training utterances that are long enough, and the ids of the others.

    Args:
        utterances: The training set.
        model: See `too_short`.
        largest_speed: See `too_short`.
        skip: Whether too short utterances may be dropped.
        edges_s: See `too_short`.

    Raises:
        DataError: Some are too short and ``skip`` is False, or none would be left.
    """
    found = too_short(utterances, model, largest_speed, edges_s)
    ids = [utterance.id for utterance, _, _ in found]
    if found and (not skip or len(found) == len(utterances)):
        utterance, frames, needed = found[0]
        raise DataError(
            f"{len(found)} training utterance(s) are too short for their targets, such as "
            f"{utterance.id}: {frames} encoded frames must be at least {needed}; lower the "
            "encoder's subsampling, data.augment.speeds or edges_s, or drop them with "
            f"training.skip_too_short: true. All: {listed(ids)}"
        )
    dropped = set(ids)
    return [u for u in utterances if u.id not in dropped], ids


def listed(ids: Sequence[str], most: int = _MOST_NAMED) -> str:
    """The first few ids, and how many more there are.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = f" and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(ids[:most]) + more
