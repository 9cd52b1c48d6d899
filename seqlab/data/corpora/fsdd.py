"""Free Spoken Digit Dataset: ten digits, six speakers, 8 kHz."""

from __future__ import annotations

import re
from pathlib import Path

from seqlab.data.corpora._layout import require_folder, wrong_layout
from seqlab.data.manifest import Utterance, from_file
from seqlab.errors import DataError

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SHARED_SPEAKERS = (
    "the published splits share their speakers: figures on test say little about new ones; "
    "data.hold_out_speakers of a recipe measures those"
)
_NAME = re.compile(r"(\d)_([^_]+)_(\d+)\.wav")


def prepare(source: Path, *, dev_takes: int = 5) -> dict[str, list[Utterance]]:
    """Splits of the Free Spoken Digit Dataset.

    ``test`` holds takes 0 to 4 of every digit and speaker, as published; ``dev`` the next five;
    ``train`` the others. Speakers are on all sides: use ``hold_out_speakers`` of the recipe to
    measure unseen ones. Labels are the digits as words.

    Args:
        source: the repository, or its folder ``recordings`` with ``{digit}_{speaker}_{take}.wav``.
        dev_takes: takes 5 to 4 + dev_takes are ``dev``; 0: no dev split.

    Raises:
        DataError: no such files.

    Source: github.com/Jakobovski/free-spoken-digit-dataset, README ("Usage").
    """
    require_folder(source, "FSDD", "recordings/0_george_0.wav and so on")
    if dev_takes < 0:
        raise DataError(f"dev_takes={dev_takes} must be 0 or more")
    folder = source / "recordings" if (source / "recordings").is_dir() else source
    found = []
    for path in folder.iterdir():
        match = _NAME.fullmatch(path.name)
        if match:
            found.append((match[2], int(match[1]), int(match[3]), path))
    if not found:
        raise wrong_layout(source, "FSDD", "recordings/0_george_0.wav and so on")
    splits: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    for speaker, digit, take, path in sorted(found):
        split = "test" if take < 5 else "dev" if take < 5 + dev_takes else "train"
        splits[split].append(from_file(path, path.stem, label=DIGITS[digit], speaker=speaker))
    return {name: utterances for name, utterances in splits.items() if utterances}
