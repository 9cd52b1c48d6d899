"""What lists stored features: the index, and for lhotse features.jsonl.gz and cuts.jsonl.gz.

The arrays are plain ``.npy`` files, which lhotse knows as ``numpy_files``; no other package is
needed to read them.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seqlab.contracts import Frontend
from seqlab.data.cuts import to_cut
from seqlab.data.feature_inputs import FeatureInput
from seqlab.data.feature_jobs import Extraction, Outcome
from seqlab.data.feature_storage import FAILED, INDEX, atomic_file, json_line, write_lines
from seqlab.data.utterance import Utterance


def write_listings(
    extraction: Extraction, items: Sequence[FeatureInput], outcomes: Sequence[Outcome]
) -> int:
    """Write the index, and for lhotse its manifests, of the recordings that were usable.

    The others, and what is wrong with them, stand in ``failed.jsonl``, if there are any.

    Returns:
        How many the lhotse manifests leave out; see ``write_lhotse``.
    """
    good = [pair for pair in zip(items, outcomes, strict=True) if not pair[1].error]
    folder = extraction.folder
    keys = [extraction.target(item).relative_to(folder).as_posix() for item, _ in good]
    bad = [pair for pair in zip(items, outcomes, strict=True) if pair[1].error]
    if bad:
        failures = ({"audio": item.path, "error": outcome.error} for item, outcome in bad)
        write_lines(folder / FAILED, failures)
    else:
        (folder / FAILED).unlink(missing_ok=True)
    write_lines(
        folder / INDEX,
        (
            {
                "id": item.id,
                "path": key,
                "frames": outcome.frames,
                "seconds": round(outcome.seconds, 6),
                "audio": item.path,
            }
            for key, (item, outcome) in zip(keys, good, strict=True)
        ),
    )
    if extraction.storage != "lhotse":
        return 0
    stored = (
        StoredFeatures(_utterance(item, outcome), key, outcome.frames)
        for key, (item, outcome) in zip(keys, good, strict=True)
    )
    return write_lhotse(folder, extraction.frontend, stored)


def _utterance(item: FeatureInput, outcome: Outcome) -> Utterance:
    """What the manifest says of a recording, or what its file does."""
    if item.utterance is not None:
        return item.utterance
    return Utterance(
        id=item.id,
        path=os.path.abspath(item.path),
        start_s=0.0,
        duration_s=outcome.seconds,
        sample_rate=outcome.sample_rate,
        recording_s=outcome.file_seconds,
    )


@dataclass(frozen=True)
class StoredFeatures:
    """Features of one utterance: where they lie in their folder, and how many they are."""

    utterance: Utterance
    key: str  # path within the folder, with slashes
    frames: int


def write_lhotse(folder: Path, frontend: Frontend, stored: Iterable[StoredFeatures]) -> int:
    """Write both manifests for the features in ``folder``.

    Lhotse counts frames as its rounded duration over the hop, so each cut is given the duration,
    nearest to the true one, that makes this count ours: ``CutSet.load_features`` then returns
    every row, and only the rows, that were stored. The cut of a recording at another rate than
    the front end's is resampled by lhotse when its audio is loaded.

    Args:
        folder: with the ``.npy`` files; its absolute path is written into the manifests (lhotse:
            ``CutSet.with_features_path_prefix``; or call this again once it has moved).
        frontend: that made the features.
        stored: in the order wanted.

    Returns:
        How many were left out because they have no frame, which lhotse does not allow.
    """
    left_out = 0
    with _gzip(folder / "features.jsonl.gz") as features, _gzip(folder / "cuts.jsonl.gz") as cuts:
        for item in stored:
            if item.frames == 0:
                left_out += 1
                continue
            cut = _cut(folder.absolute(), frontend, item)
            for file, value in ((features, cut["features"]), (cuts, cut)):
                file.write(json_line(value))
    return left_out


@contextmanager
def _gzip(path: Path) -> Iterator[gzip.GzipFile]:
    with atomic_file(path) as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        yield packed


def _cut(folder: Path, frontend: Frontend, item: StoredFeatures) -> dict[str, Any]:
    from lhotse import Features, MonoCut

    rate, hop = frontend.sample_rate, frontend.hop_length
    samples = round(item.utterance.duration_s * rate)
    counted = min(max(samples, item.frames * hop - hop // 2), item.frames * hop + (hop - 1) // 2)
    whole = item.utterance
    cut = MonoCut.from_dict(to_cut(whole))
    recording = cut.recording
    if recording.sampling_rate != rate:
        recording = recording.resample(rate)
    features = Features(
        type=type(frontend).__name__,
        num_frames=item.frames,
        num_features=frontend.output_dim,
        frame_shift=hop / rate,
        sampling_rate=rate,
        start=whole.start_s,
        duration=counted / rate,
        storage_type="numpy_files",
        storage_path=str(folder),
        storage_key=item.key,
        recording_id=recording.id,
        channels=0,
    )
    cut = replace(cut, duration=counted / rate, recording=recording, features=features)
    return dict(cut.to_dict())
