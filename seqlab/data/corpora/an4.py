"""CMU AN4: spelled words, numbers and addresses, 84 speakers, under an hour."""

from __future__ import annotations

import re
from pathlib import Path

from seqlab.data.corpora._layout import audio_files, require_folder, table_splits, wrong_layout
from seqlab.data.corpora._raw import convert_raw
from seqlab.data.manifest import Utterance, from_file
from seqlab.data.table import read_lines
from seqlab.errors import DataError
from seqlab.text.lexicon import Lexicon

DEV_SPEAKERS = "fbbh fjam fjdn fsaf2 mblw mcrt mnfe mrjc2"
SAMPLE_RATE = 16000
DICTIONARY = "etc/an4.dic"
_LINE = re.compile(r"(.*?)\s*\(([^()\s]+)\)\s*")
_EXPECTED = "manifest.tsv, or etc/an4_train.transcription and a folder wav or audio"


def prepare(
    source: Path,
    *,
    dev_speakers: str = DEV_SPEAKERS,
    byte_order: str = "auto",
    dest: Path | None = None,
) -> dict[str, list[Utterance]]:
    """Splits of AN4: the published test set, and its training set divided by speaker.

    ``dev`` is made of eight training speakers, four women and four men, those whose id has the
    lowest SHA-1; ``data.train: [train, dev]`` trains on all that the published protocol does.

    Args:
        source: a folder with ``manifest.tsv`` (path, transcript, speaker, split), or CMU's own:
            ``etc/an4_{train,test}.transcription`` and the audio below it as .sph, .raw, .wav or
            .flac, named by utterance id.
        dev_speakers: ids of the dev speakers, by spaces; empty: no dev split. Not used with
            manifest.tsv.
        byte_order: of headerless .raw files, ``little``, ``big`` or ``auto`` (the one that
            sounds like speech).
        dest: folder for ``lexicon.txt``, from the corpus's own dictionary ``etc/an4.dic`` where
            there is one, and for .raw files converted to WAV (``audio/`` in it).

    Raises:
        DataError: another layout, a line that cannot be read, or missing audio.

    Source: speech.cs.cmu.edu/databases/an4.
    """
    require_folder(source, "AN4", _EXPECTED)
    if dest is not None and (source / DICTIONARY).is_file():
        _write_lexicon(source / DICTIONARY, dest / "lexicon.txt")
    if (source / "manifest.tsv").is_file():
        return table_splits(source / "manifest.tsv")
    lists = {split: source / "etc" / f"an4_{split}.transcription" for split in ("train", "test")}
    if not all(path.is_file() for path in lists.values()):
        raise wrong_layout(source, "AN4", _EXPECTED)
    files = _audio_by_id(source)
    dev = set(dev_speakers.split())
    splits: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    for split, path in lists.items():
        for where, utterance_id, transcript in _transcripts(path):
            if utterance_id not in files:
                raise DataError(
                    f"{where}: no audio named {utterance_id}.sph, .raw, .wav or .flac below "
                    f"{source}; unpack the whole archive"
                )
            audio = files[utterance_id]
            if audio.suffix.lower() == ".raw":
                audio = convert_raw(audio, dest, SAMPLE_RATE, byte_order)
            speaker = _speaker(utterance_id, where)
            part = "dev" if split == "train" and speaker in dev else split
            splits[part].append(
                from_file(audio, utterance_id, transcript=transcript, speaker=speaker)
            )
    return {name: utterances for name, utterances in splits.items() if utterances}


def _write_lexicon(source: Path, dest: Path) -> None:
    """The dictionary in Kaldi's format; the word ``A`` is first of all the letter, as it is said.

    CMU's file has the article's sound first, but the texts are spelled names and numbers.
    """
    lexicon = Lexicon.read(source, "cmudict")
    pairs = [(word.lower(), one) for word, one in lexicon.pairs()]
    pairs.sort(key=lambda pair: (pair[0], pair[0] == "a" and pair[1].phones != ("EY",)))
    dest.parent.mkdir(parents=True, exist_ok=True)
    Lexicon.from_pairs(pairs).write(dest, "lexicon")


def _audio_by_id(source: Path) -> dict[str, Path]:
    suffixes = (".raw", ".sph", ".flac", ".wav")  # later ones are preferred
    paths = audio_files(source, suffixes)
    return {p.stem: p for p in sorted(paths, key=lambda p: suffixes.index(p.suffix.lower()))}


def _transcripts(path: Path) -> list[tuple[str, str, str]]:
    found = []
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise DataError(
                f"{path}:{number}: {line[:60]!r} must be a transcript and the utterance id in "
                "parentheses; correct it"
            )
        words = [word for word in match[1].split() if word not in ("<s>", "</s>")]
        found.append((f"{path}:{number}", match[2], " ".join(words)))
    return found


def _speaker(utterance_id: str, where: str) -> str:
    parts = utterance_id.split("-")
    if len(parts) != 3:
        raise DataError(
            f"{where}: utterance id {utterance_id!r} must be text-speaker-letter, as an4-fcaw-b; "
            "correct it"
        )
    return parts[1]
