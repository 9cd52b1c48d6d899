"""yesno: sixty recordings of eight words each, "yes" or "no" in Hebrew, one speaker, 8 kHz."""

from __future__ import annotations

import re
from pathlib import Path

from seqlab.data.corpora._layout import require_folder, wrong_layout
from seqlab.data.manifest import Utterance, from_file
from seqlab.errors import DataError

SHARED_SPEAKERS = "all of it is one speaker: figures on test say nothing about others"
_NAME = re.compile(r"[01](_[01])*\.wav")
_EXPECTED = "0_0_0_0_1_1_1_1.wav and so on (or waves_yesno with them)"


def prepare(source: Path, *, dev_files: int = 0) -> dict[str, list[Utterance]]:
    """Splits of yesno: the first half of the sorted file names trains, the rest tests.

    Transcripts come from the file names: 1 is YES, 0 is NO. All is one speaker.

    Args:
        source: ``waves_yesno``, or the folder that holds it.
        dev_files: this many files from the end of the training half become ``dev``.

    Raises:
        DataError: no such files, or more dev files than leave one to train on.

    Source: openslr.org/1; Kaldi, egs/yesno/s5/local/create_yesno_waves_test_train.pl.
    """
    require_folder(source, "yesno", _EXPECTED)
    folder = source / "waves_yesno" if (source / "waves_yesno").is_dir() else source
    paths = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    if len(paths) < 2:
        raise wrong_layout(source, "yesno", _EXPECTED)
    half = len(paths) // 2
    if not 0 <= dev_files < half:
        raise DataError(f"dev_files={dev_files} must be 0 or more and below {half}")
    utterances = [_utterance(path) for path in paths]
    train = half - dev_files
    splits = {"train": utterances[:train], "dev": utterances[train:half]}
    splits["test"] = utterances[half:]
    return {name: chosen for name, chosen in splits.items() if chosen}


def _utterance(path: Path) -> Utterance:
    words = ["YES" if digit == "1" else "NO" for digit in path.stem.split("_")]
    return from_file(path, path.stem, transcript=" ".join(words), speaker="yesno")
