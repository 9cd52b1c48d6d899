"""Google Speech Commands, versions 1 and 2: one-second words by thousands of speakers."""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path

from seqlab.data.corpora._layout import hash_fraction, require_folder, wrong_layout
from seqlab.data.manifest import Utterance, cut, from_file
from seqlab.data.table import read_lines
from seqlab.errors import DataError
from seqlab.text.vocabulary import SILENCE_LABEL, UNKNOWN_LABEL

COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SILENCE, UNKNOWN, BACKGROUND = "_silence_", "_unknown_", "_background_noise_"
MAX_NUM_WAVS = 2**27 - 1
_EXPECTED = "yes/, no/ and so on with *_nohash_*.wav, and _background_noise_/"
_LISTS = {"dev": "validation_list.txt", "test": "testing_list.txt"}
_SPAN = {"train": (0.0, 0.8), "dev": (0.8, 0.9), "test": (0.9, 1.0)}


def hash_split(file_name: str, dev_percent: float = 10.0, test_percent: float = 10.0) -> str:
    """The published split of a file, a function of its speaker only.

    Args:
        file_name: such as ``bed/0a7c2a8d_nohash_0.wav``.
        dev_percent: share of dev, 0 to 100.
        test_percent: share of test, 0 to 100.

    Returns:
        ``train``, ``dev`` or ``test``.

    Source: Warden 2018, "Speech Commands", section 7.1, and README.md of the data set:
    SHA-1 of the name before ``_nohash_``, modulo 2**27, as a percentage of 2**27 - 1.
    """
    speaker = _speaker(Path(file_name).name)
    digest = int(hashlib.sha1(speaker.encode()).hexdigest(), 16)
    percentage = (digest % (MAX_NUM_WAVS + 1)) * (100.0 / MAX_NUM_WAVS)
    if percentage < dev_percent:
        return "dev"
    return "test" if percentage < dev_percent + test_percent else "train"


def prepare(
    source: Path,
    *,
    classes: int = 12,
    silence_percent: float = 10.0,
    unknown_percent: float = 10.0,
    seed: int = 59185,
    test_folder: str = "",
) -> dict[str, list[Utterance]]:
    """Splits of Google Speech Commands v1 or v2 for a set of classes, and ``noise_train``.

    The latter are the background recordings, but for the ends that dev and test have, for
    ``data.augment.noise`` of a recipe. The classes of the archive's folders ``_silence_`` and
    ``_unknown_`` are called ``<silence>`` and ``<unknown>``, as everywhere else here.

    Args:
        source: the unpacked archive. Splits follow ``validation_list.txt`` and
            ``testing_list.txt`` where they are, else the hash rule that made them.
        classes: 12: ten commands, ``<silence>`` and ``<unknown>``; 20: the twenty core words;
            30: all words of version 1; 35: all words of version 2.
        silence_percent: with 12 classes, silences for each hundred command words of a split.
        unknown_percent: with 12 classes, other words for each hundred command words.
        seed: of the choice of unknown words and silences.
        test_folder: the separate test archive (``speech_commands_test_set_v0.02``), whose
            folders replace ``test``; 12 classes only.

    Raises:
        DataError: another layout, or words missing.

    Source: Warden 2018, "Speech Commands: A dataset for limited-vocabulary speech recognition",
    sections 7.1 and 7.2. Deviations: which unknown words are taken is drawn by hash, which is
    the same everywhere; silences are one-second cuts of the background recordings at their
    own level, and train, dev and test take them from separate spans of each recording (80, 10
    and 10 %), so that no tested second was trained on.
    """
    require_folder(source, "Speech Commands", _EXPECTED)
    if classes not in (12, 20, 30, 35):
        raise DataError(f"classes={classes} must be 12, 20, 30 or 35")
    for name, percent in (("silence", silence_percent), ("unknown", unknown_percent)):
        if not 0 <= percent <= 100:
            raise DataError(f"{name}_percent={percent} must be within 0 and 100")
    if test_folder and classes != 12:
        raise DataError(f"test_folder is for classes=12, not {classes}; drop one of the two")
    words = _words(source, classes)
    files = _files(source)
    splits: dict[str, list[Utterance]] = {}
    for split, paths in files.items():
        if test_folder and split == "test":
            splits[split] = _test_archive(Path(test_folder).expanduser())
            continue
        chosen = [_word(path, path.parent.name) for path in paths if path.parent.name in words]
        if classes == 12:
            unknown = [path for path in paths if path.parent.name not in words]
            count = math.ceil(len(chosen) * unknown_percent / 100)
            silences = math.ceil(len(chosen) * silence_percent / 100)
            chosen += [_word(path, UNKNOWN_LABEL) for path in _drawn(unknown, count, seed)]
            chosen += _silences(source, split, silences, seed)
        splits[split] = chosen
    if "train" in splits:
        splits["noise_train"] = _noise(source)
    return {split: chosen for split, chosen in splits.items() if chosen}


def _words(source: Path, classes: int) -> tuple[str, ...]:
    there = tuple(
        sorted(
            folder.name
            for folder in source.iterdir()
            if folder.is_dir() and not folder.name.startswith(("_", "."))
        )
    )
    if not there:
        raise wrong_layout(source, "Speech Commands", _EXPECTED)
    if classes in (30, 35):
        if len(there) != classes:
            raise DataError(
                f"classes={classes}: {source} has {len(there)} word folders, must have {classes} "
                f"(version 1 has 30, version 2 has 35); choose another class set"
            )
        return there
    wanted = COMMANDS if classes == 12 else COMMANDS + DIGITS
    missing = [word for word in wanted if word not in there]
    if missing:
        raise DataError(
            f"classes={classes}: {source} lacks the words {', '.join(missing)}; unpack the whole "
            "archive"
        )
    return wanted


def _files(source: Path) -> dict[str, list[Path]]:
    paths = sorted(
        path
        for path in source.glob("*/*.wav")
        if not path.parent.name.startswith("_") and "_nohash_" in path.name
    )
    if not paths:
        raise wrong_layout(source, "Speech Commands", _EXPECTED)
    listed: dict[str, str] = {}
    lists = {split: source / name for split, name in _LISTS.items()}
    published = all(path.is_file() for path in lists.values())
    if published:
        for split, path in lists.items():
            listed.update({line.strip(): split for line in read_lines(path) if line.strip()})
    splits: dict[str, list[Path]] = {"train": [], "dev": [], "test": []}
    for path in paths:
        name = f"{path.parent.name}/{path.name}"
        splits[listed.get(name, "train") if published else hash_split(name)].append(path)
    return splits


def _speaker(file_name: str) -> str:
    return re.sub(r"_nohash_.*$", "", file_name)


def _word(path: Path, label: str) -> Utterance:
    return from_file(
        path, f"{path.parent.name}/{path.stem}", label=label, speaker=_speaker(path.name)
    )


def _drawn(paths: list[Path], count: int, seed: int) -> list[Path]:
    def rank(path: Path) -> float:
        return hash_fraction(f"{seed}/{path.parent.name}/{path.name}")

    return sorted(sorted(paths, key=rank)[:count])


def _silences(source: Path, split: str, count: int, seed: int) -> list[Utterance]:
    """``count`` one-second cuts from this split's span of the background recordings."""
    if count == 0:
        return []
    recordings = [
        from_file(path, f"{SILENCE}/{path.stem}", label=SILENCE_LABEL)
        for path in sorted((source / BACKGROUND).glob("*.wav"))
    ]
    low, high = _SPAN[split]
    recordings = [r for r in recordings if r.duration_s * (high - low) >= 1]
    if not recordings:
        raise DataError(
            f"{source / BACKGROUND} has no recording with a second to spare for {split}, must "
            "have one (10 s) for the class of silence; add it, or set silence_percent to 0"
        )
    found = []
    for number in range(count):
        whole = recordings[number % len(recordings)]
        first = math.ceil(low * whole.duration_s * whole.sample_rate)
        room = math.floor((high * whole.duration_s - 1) * whole.sample_rate) - first
        draw = hash_fraction(f"{seed}/{split}/{number}")
        start_s = (first + int(draw * (max(0, room) + 1))) / whole.sample_rate
        found.append(cut(whole, f"{whole.id}/{split}-{number}", start_s, 1.0))
    return found


def _noise(source: Path) -> list[Utterance]:
    """The background recordings as far as training has them, without a label, to mix in."""
    found = []
    for path in sorted((source / BACKGROUND).glob("*.wav")):
        whole = from_file(path, f"{BACKGROUND}/{path.stem}")
        found.append(cut(whole, whole.id, 0.0, _SPAN["train"][1] * whole.duration_s))
    return found


def _test_archive(folder: Path) -> list[Utterance]:
    require_folder(folder, "the Speech Commands test set", "yes/, _silence_/, _unknown_/ and so on")
    found = []
    for label in (*COMMANDS, SILENCE, UNKNOWN):
        paths = sorted((folder / label).glob("*.wav"))
        if not paths:
            raise DataError(f"{folder / label} holds no .wav file; unpack the whole archive")
        for path in paths:
            speaker = _speaker(path.name) if "_nohash_" in path.name else None
            own = {SILENCE: SILENCE_LABEL, UNKNOWN: UNKNOWN_LABEL}.get(label, label)
            name = f"test/{label}/{path.stem}"
            found.append(from_file(path, name, label=own, speaker=speaker))
    return found
