"""Mixtures of words and noises at known times, to find sound events in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from seqlab.audio import audio_info, save_audio
from seqlab.checks import check_at_least, check_range
from seqlab.data.corpora import fsdd
from seqlab.data.corpora import noise as noise_corpus
from seqlab.data.corpora._layout import require_folder, split_by_hash
from seqlab.data.corpora._mixing import NOISE_LABEL, Clips, Recipe, draw_mixture
from seqlab.data.manifest import Utterance, from_file, read_manifest, write_atomically
from seqlab.errors import AudioError, DataError

NOTES = (
    "mixtures of separate recordings: figures on them say little about recordings in a real room",
)
SPLITS = ("train", "dev", "test")
_EXPECTED = "train.jsonl.gz and so on, of words with labels, or FSDD as downloaded"
_NOISES = "noise_train.jsonl.gz and so on, or noise recordings as seqlab prepare noise takes them"
_STAMP = "mixtures.json"

Recordings = dict[str, list[Utterance]]


def prepare(
    source: Path,
    *,
    dest: Path,
    noise: str = "",
    train: int = 600,
    dev: int = 60,
    test: int = 120,
    duration_s: float = 6.0,
    max_words: int = 6,
    max_noises: int = 2,
    min_snr_db: float = 0.0,
    max_snr_db: float = 25.0,
    dev_speakers: str = "",
    test_speakers: str = "",
    sample_rate: int = 8000,
    seed: int = 0,
) -> dict[str, list[Utterance]]:
    """Mixtures of spoken words, and of clips of noise, at random times on a faint background.

    Every speaker is in one split only, whatever splits the source has. Words and clips may
    overlap; each has a signal-to-noise ratio of its own over the background, which is generated
    noise from white to brown. The supervisions of the manifests hold label, onset and duration of
    each sound; silence around a word is cut off before. The label of clips of noise is ``noise``.

    The audio is kept in ``DEST/audio``. Equal options give equal samples; a preparation that was
    stopped goes on where it stopped, and other options make everything anew.

    Args:
        source: folder of manifests of words with labels and speakers, such as ``data/fsdd``; or
            FSDD as downloaded.
        dest: folder for the audio (``audio/`` in it).
        noise: folder of prepared noise manifests, such as ``data/noise``, or of noise recordings
            as downloaded; empty: no clips of noise.
        train: mixtures of the split; 0: none.
        dev: mixtures of the split; 0: none.
        test: mixtures of the split; 0: none.
        duration_s: length of a mixture in seconds, 2 to 600.
        max_words: words in a mixture, 1 to that many; 1 to 1000.
        max_noises: clips of noise in a mixture, 0 to that many; 0 to 1000.
        min_snr_db: least ratio of a sound's mean power to the background's in dB, -40 to 80.
        max_snr_db: greatest one.
        dev_speakers: names, parted by commas, of those in ``dev``; empty: drawn by hash.
        test_speakers: names of those in ``test``.
        sample_rate: of the audio, in Hz; recordings at another rate are resampled.
        seed: of everything drawn, 0 or more.

    Raises:
        DataError: another layout, a word without label or speaker, too few speakers, or options
            out of range.
        AudioError: a recording cannot be read.
    """
    _check(duration_s, max_words, max_noises, min_snr_db, max_snr_db, seed)
    recipe = Recipe(duration_s, max_words, max_noises, min_snr_db, max_snr_db, sample_rate, seed)
    counts = {"train": train, "dev": dev, "test": test}
    for name, count in counts.items():
        check_at_least(name, count, 0, "0 leaves the split out")
    wanted = [name for name in SPLITS if counts[name]]
    if not wanted:
        raise DataError("train=0, dev=0 and test=0 make nothing, must be 1 or more for one of them")
    words = _by_split(_words(source), dev_speakers, test_speakers, wanted, seed)
    noises = _noises(noise, wanted) if noise and max_noises else {name: [] for name in wanted}
    folder = dest / "audio"
    _stamp(folder, recipe, words, noises)
    return {
        name: _mixtures(name, counts[name], folder / name, recipe, words[name], noises[name])
        for name in wanted
    }


def _check(
    duration_s: float, words: int, noises: int, low_db: float, high_db: float, seed: int
) -> None:
    check_range("duration_s", duration_s, 2, 600, "6 is usual")
    check_at_least("max_words", words, 1)
    check_range("max_words", words, 1, 1000, "6 is usual")
    check_at_least("max_noises", noises, 0)
    check_range("max_noises", noises, 0, 1000, "2 is usual")
    check_range("min_snr_db", low_db, -40, 80, "0 is usual")
    check_range("max_snr_db", high_db, low_db, 80, "must be min_snr_db or more; 25 is usual")
    check_at_least("seed", seed, 0)


def _words(source: Path) -> list[Utterance]:
    """All words of a prepared corpus, or of FSDD as downloaded."""
    require_folder(source, "words", _EXPECTED)
    manifests = [source / f"{name}.jsonl.gz" for name in SPLITS]
    found = [word for path in manifests if path.is_file() for word in read_manifest(path)]
    if not found:
        found = [word for words in fsdd.prepare(source).values() for word in words]
    for word in found:
        if not word.label or not word.speaker:
            missing = "speaker" if word.label else "label"
            raise DataError(
                f"{source}: {word.id} has no {missing}, must have label and speaker; prepare a "
                "corpus of single words"
            )
        if word.label == NOISE_LABEL:
            raise DataError(f"{source}: {word.id} is called {NOISE_LABEL!r}; give words names")
    return found


def _by_split(
    words: Sequence[Utterance], dev: str, test: str, wanted: Sequence[str], seed: int
) -> Recordings:
    """Words of each split, each speaker in one of them."""
    speakers = sorted({str(word.speaker) for word in words})
    named = {"dev": _names(dev), "test": _names(test)}
    for split, names in named.items():
        if unknown := sorted(set(names) - set(speakers)):
            raise DataError(f"{split}_speakers: {unknown[0]!r} is not among {', '.join(speakers)}")
    if twice := sorted(set(named["dev"]) & set(named["test"])):
        raise DataError(f"{twice[0]!r} is in dev_speakers and test_speakers, must be in one")
    chosen = {name: split for split, names in named.items() for name in names}
    rest = [name for name in speakers if name not in chosen]
    shares = [0.0 if named[split] or split not in wanted else 1 / 6 for split in named]
    chosen |= split_by_hash(rest, shares[0], shares[1], seed)
    found: Recordings = {split: [] for split in SPLITS}
    for word in words:
        found[chosen[str(word.speaker)]].append(word)
    for split in wanted:
        if not found[split]:
            raise DataError(
                f"no speaker of {len(speakers)} is left for {split}, must be one at least; name "
                "dev_speakers and test_speakers, or leave the split out"
            )
    return found


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _noises(folder: str, wanted: Sequence[str]) -> Recordings:
    """Noise recordings of each split; none is in two of them."""
    place = Path(folder).expanduser()
    require_folder(place, "noises", _NOISES)
    found = {name: place / f"noise_{name}.jsonl.gz" for name in SPLITS}
    kept = {name: read_manifest(path) for name, path in found.items() if path.is_file()}
    if not kept:
        kept = {
            n.removeprefix("noise_"): u
            for n, u in noise_corpus.prepare(place).items()
            if "noise" in n
        }
    for name in wanted:
        if not kept.get(name):
            raise DataError(
                f"noise={folder} has no recordings for {name}, must have some of each split; add "
                "them, or leave noise out"
            )
    return kept


def _stamp(folder: Path, recipe: Recipe, words: Recordings, noises: Recordings) -> None:
    """Note what the mixtures are made of; drop those that were made of something else."""
    parts = {
        name: [[u.id, u.label, u.speaker, u.start_s, u.duration_s] for u in found]
        for kind, recordings in (("word", words), ("noise", noises))
        for name, found in ((f"{kind}_{split}", r) for split, r in recordings.items())
    }
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    content = json.dumps({"format": 1, **asdict(recipe), "recordings": digest}, indent=1).encode()
    path = folder / _STAMP
    if path.is_file() and path.read_bytes() == content:
        return
    path.unlink(missing_ok=True)
    for split in SPLITS:
        for old in (folder / split).glob("[0-9]*.flac"):
            old.unlink()
    write_atomically(path, content)


def _mixtures(
    split: str,
    count: int,
    folder: Path,
    recipe: Recipe,
    words: Sequence[Utterance],
    noises: Sequence[Utterance],
) -> list[Utterance]:
    folder.mkdir(parents=True, exist_ok=True)
    clips = Clips(recipe.sample_rate)
    made = []
    for number in range(count):
        path = folder / f"{number:05d}.flac"
        rng = np.random.default_rng([recipe.seed, SPLITS.index(split), number])
        mixture = draw_mixture(words, noises, recipe, clips, rng)
        if not _is_whole(path, recipe):
            save_audio(path, mixture.render(rng), recipe.sample_rate)
        whole = from_file(path, f"{split}/{number:05d}")
        made.append(mixture.utterance(whole))
    return made


def _is_whole(path: Path, recipe: Recipe) -> bool:
    """Whether the mixture is there as it was written, which is whole or not at all."""
    try:
        info = audio_info(path)
    except AudioError:
        return False
    return info.num_samples == recipe.num_samples and info.sample_rate == recipe.sample_rate
