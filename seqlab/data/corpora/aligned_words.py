"""Single words cut from recordings of sentences, where ``seqlab align`` found them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqlab.checks import check_range
from seqlab.data.corpora._layout import ordered, require_folder, wrong_layout
from seqlab.data.manifest import Utterance, read_manifest
from seqlab.errors import DataError
from seqlab.text.timed import TimedWord, from_ctm

NOTES = ("words cut from sentences: they run into their neighbours, and the cuts are a model's",)
LIST = "alignments.jsonl"
_EXPECTED = (
    f"SPLIT/{LIST} for each split, as `seqlab align MODEL --manifest DATA/SPLIT.jsonl.gz -o "
    "SOURCE/SPLIT --format ctm` leaves it"
)


def prepare(
    source: Path,
    *,
    corpus: str = "",
    words: str = "",
    before_s: float = 0.12,
    after_s: float = 0.18,
    min_confidence: float = 0.5,
) -> dict[str, list[Utterance]]:
    """Splits of single words from aligned sentences; the label is the word in small letters.

    A word is cut from ``before_s`` before its first sound was found to ``after_s`` behind its
    last, but at most to the middle between it and its neighbour: a CTC model finds sounds
    somewhere within them, not their ends. Speakers and splits are those of the corpus.

    Args:
        source: folder with a folder of alignments (CTM) for each split.
        corpus: folder of the manifests that were aligned, ``SPLIT.jsonl.gz``.
        words: which words to cut, by spaces; empty: all.
        before_s: seconds kept in front, 0 to 1.
        after_s: seconds kept behind, 0 to 1.
        min_confidence: utterances aligned with less are left out, 0 to 1.

    Raises:
        DataError: another layout, alignments of other utterances, or options out of range.
    """
    require_folder(source, "aligned words", _EXPECTED)
    check_range("before_s", before_s, 0, 1, "0.12 is usual")
    check_range("after_s", after_s, 0, 1, "0.18 is usual")
    check_range("min_confidence", min_confidence, 0, 1, "0 keeps all")
    lists = sorted(source.glob(f"*/{LIST}"))
    if not lists:
        raise wrong_layout(source, "aligned words", _EXPECTED)
    if not corpus:
        raise DataError("corpus must name the folder of the aligned manifests; give corpus=DATA")
    wanted = {word.lower() for word in words.split()}
    splits = {}
    for listed in lists:
        split = listed.parent.name
        known = {u.id: u for u in read_manifest(Path(corpus).expanduser() / f"{split}.jsonl.gz")}
        splits[split] = [
            clip
            for entry in _entries(listed, known, min_confidence)
            for clip in _clips(known[entry["id"]], listed.parent / entry["file"], before_s, after_s)
            if not wanted or clip.label in wanted
        ]
    if not any(splits.values()):
        raise DataError(f"{source} has none of the words {words!r}; name words of its sentences")
    return ordered({split: clips for split, clips in splits.items() if clips})


def _entries(listed: Path, known: dict[str, Utterance], least: float) -> list[dict[str, Any]]:
    entries = []
    for number, line in enumerate(listed.read_text(encoding="utf-8").splitlines(), 1):
        try:
            entry = json.loads(line)
            name, file = str(entry["id"]), str(entry.get("file") or "")
            confidence = float(entry.get("confidence") or 0.0)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{listed}:{number}: no entry of seqlab align ({error}); align anew"
            ) from None
        if name not in known:
            raise DataError(
                f"{listed}:{number}: utterance {name} is not in the corpus; name the folder of the "
                "manifests that were aligned"
            )
        if file and not file.endswith(".ctm"):
            raise DataError(f"{listed}:{number}: {file} must be CTM; align with --format ctm")
        if file and confidence >= least:
            entries.append({"id": name, "file": file})
    return entries


def _clips(sentence: Utterance, file: Path, before_s: float, after_s: float) -> list[Utterance]:
    """The words of one sentence; one without length, for want of room, is left out."""
    found = from_ctm(file.read_text(encoding="utf-8"))
    words: Sequence[TimedWord] = [word for parts in found.values() for word in parts]
    clips = []
    for number, word in enumerate(words):
        start = max(0.0, word.start_s - before_s)
        end = min(sentence.duration_s, word.end_s + after_s)
        if number > 0:
            start = max(start, (words[number - 1].end_s + word.start_s) / 2)
        if number + 1 < len(words):
            end = min(end, (word.end_s + words[number + 1].start_s) / 2)
        if end <= start:
            continue
        label = word.text.lower()
        clips.append(
            dataclasses.replace(
                sentence,
                id=f"{sentence.id}#{number}",
                start_s=round(sentence.start_s + start, 4),
                duration_s=round(end - start, 4),
                transcript=None,
                label=label,
            )
        )
    return clips
