"""Wake words of the Picovoice wake word benchmark: six phrases, over 50 speakers."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
from torch import Tensor

from seqlab.audio import save_audio
from seqlab.data.corpora._layout import audio_files, require_folder, table_splits, wrong_layout
from seqlab.data.corpora._pauses import Loudness, without_pauses
from seqlab.data.manifest import Utterance, from_file, read_manifest
from seqlab.errors import AudioError, DataError

PHRASES = ("alexa", "computer", "jarvis", "smart mirror", "snowboy", "view glass")
NOTES = (
    "speakers are not published, so that a speaker may be in several splits: figures say less "
    "about new speakers than they seem to",
)
_EXPECTED = "audio/ with a folder a phrase: " + ", ".join(p.replace(" ", "_") for p in PHRASES)
_NOISY_RATE = 16000
_FRAME = 512  # samples, over which loudness is measured for the noise
_LOUD = Loudness(frames_per_s=50, smoothed=5, drop_db=20, rise_db=6, quiet_percent=20)


def prepare(
    source: Path,
    *,
    noise: str = "",
    dev_noise: str = "",
    snr_db: float = 10.0,
    margin_s: float = 0.0,
    dest: Path | None = None,
) -> dict[str, list[Utterance]]:
    """Splits of the wake word benchmark's clips; the label of each is its phrase.

    The benchmark has no splits and does not tell its speakers. A ``manifest.tsv`` beside ``audio``
    names the splits. Without one, clips are split by file: half is ``train``, a tenth ``dev``,
    the rest ``test``; those of "alexa", whose files are numbered, by their number in this order,
    the others by the SHA-1 of their file name. Files that are no audio (a few of "alexa" are
    damaged) are left out.

    With ``noise``, ``test_noisy`` holds the test clips with noise on top, mixed by the benchmark's
    ratio and written to ``DEST/noisy``: of each clip the same at any time. ``dev_noisy`` is made
    likewise with ``dev_noise``.

    Args:
        source: the repository, or its folder ``audio``.
        noise: manifest of noise recordings; empty: no ``test_noisy``.
        dev_noise: the same for ``dev_noisy``; other recordings than those of ``noise``.
        snr_db: ratio of the energies of the loudest 32 ms of clip and noise in dB, which does not
            depend on how long the clip's pauses are.
        margin_s: seconds of each training clip that are kept on either side of its phrase, which
            is the loudest stretch; most clips are pauses for the greater part, and train at twice
            the speed without them. 0: clips are whole, as those of dev and test always are.
        dest: folder of the noisy clips.

    Raises:
        DataError: another layout, noise that cannot be used, or a margin below 0.

    Source: github.com/Picovoice/wake-word-benchmark, folder audio; the ratio as in its mixer.py,
    where all clips are one stream that also holds pauses and other speech.
    """
    if not margin_s >= 0:
        raise DataError(f"margin_s={margin_s} must be 0 or more seconds; 0.4 is usual")
    require_folder(source, "the wake word benchmark", _EXPECTED)
    listed = (source / "manifest.tsv").is_file()
    splits = table_splits(source / "manifest.tsv") if listed else _split_by_name(source)
    splits = {  # without the recording of several phrases, whose label is none of them
        split: [clip for clip in clips if clip.label in PHRASES] for split, clips in splits.items()
    }
    if margin_s:
        splits["train"] = [without_pauses(clip, margin_s, _LOUD) for clip in splits["train"]]
    for split, manifest in (("dev", dev_noise), ("test", noise)):
        if manifest:
            splits[f"{split}_noisy"] = _noisy(splits[split], manifest, snr_db, dest)
    return splits


def _split_by_name(source: Path) -> dict[str, list[Utterance]]:
    folder = source / "audio" if (source / "audio").is_dir() else source
    splits: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    for phrase in PHRASES:
        found = _clips(folder / phrase.replace(" ", "_"), phrase)
        if not found:
            raise wrong_layout(folder, "the wake word benchmark", _EXPECTED)
        for split, clip in zip(_drawn(found), found, strict=True):
            splits[split].append(clip)
    return splits


def _clips(folder: Path, phrase: str) -> list[Utterance]:
    """The clips of a phrase that can be read."""
    clips = []
    for path in audio_files(folder):
        try:
            clips.append(from_file(path, f"{folder.name}/{path.stem}", label=phrase))
        except AudioError:
            continue
    return clips


def _drawn(clips: list[Utterance]) -> list[str]:
    """A split for each clip, whatever format the files are in."""
    names = [Path(clip.path).stem for clip in clips]
    if all(name.isdecimal() for name in names):
        count = max(map(int, names)) + 1
        shares = [int(name) / count for name in names]
    else:
        digests = [hashlib.sha1(f"{name}.wav".encode()).hexdigest() for name in names]
        shares = [int(digest[:12], 16) % 10 / 10 for digest in digests]
    return ["train" if s < 0.5 else "dev" if s < 0.6 else "test" for s in shares]


def _noisy(
    clips: list[Utterance], manifest: str, snr_db: float, dest: Path | None
) -> list[Utterance]:
    """Copies of the clips in ``dest/noisy``, each with a section of noise."""
    if dest is None:
        raise DataError(f"noise={manifest!r} makes new recordings; name a folder dest for them")
    recordings = read_manifest(manifest)
    if not recordings:
        raise DataError(f"noise={manifest!r} is empty, must name at least one recording")
    noises = [noise.waveform(_NOISY_RATE) for noise in recordings]
    made = []
    for clip in clips:
        seed = hashlib.sha1(clip.id.encode()).digest()
        which, where = np.random.default_rng(list(seed)).random(2)
        noise = noises[int(which * len(noises))]
        start = int(where * max(1, len(noise) - round(clip.duration_s * _NOISY_RATE)))
        waveform = clip.waveform(_NOISY_RATE)
        mixed = _mixed(waveform, noise[start:], snr_db)
        mixed = mixed / max(1.0, float(mixed.abs().max()))
        path = dest / "noisy" / str(clip.label).replace(" ", "_") / f"{Path(clip.path).stem}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_audio(path, mixed, _NOISY_RATE)
        made.append(from_file(path, f"{clip.id}+noise", label=clip.label))
    return made


def _mixed(waveform: Tensor, noise: Tensor, snr_db: float) -> Tensor:
    """Both, the noise (repeated where it is shorter) scaled to the ratio of the loudest frames."""
    section = noise.repeat(-(-len(waveform) // len(noise)))[: len(waveform)]
    loudness = _loudest(section) * 10 ** (snr_db / 10)
    return waveform + section * math.sqrt(_loudest(waveform) / max(loudness, 1e-12))


def _loudest(waveform: Tensor) -> float:
    """Mean power of the loudest frame."""
    frame = min(_FRAME, len(waveform))
    return float(waveform.unfold(0, frame, frame).square().mean(1).max())
