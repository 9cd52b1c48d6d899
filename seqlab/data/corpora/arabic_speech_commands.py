"""Arabic Speech Commands: 40 words, 30 speakers, published splits without common speakers."""

from __future__ import annotations

from pathlib import Path

from seqlab.data.corpora._layout import require_folder, table_splits, wrong_layout
from seqlab.data.manifest import Utterance, from_file
from seqlab.data.table import read_lines
from seqlab.errors import DataError

_LISTS = {"train": "train.csv", "dev": "val.csv", "test": "test.csv"}
_EXPECTED = "manifest.tsv, or train.csv, val.csv, test.csv and a folder a keyword"


def prepare(source: Path) -> dict[str, list[Utterance]]:
    """Published splits of Arabic Speech Commands: 18, 6 and 6 speakers.

    Args:
        source: a folder with ``manifest.tsv``; or the published lists ``train.csv``, ``val.csv``
            and ``test.csv`` (first column ``keyword/speaker_NO_take.wav``, with or without a
            header) beside the keyword folders or beside ``dataset/`` that holds them.

    Raises:
        DataError: neither layout, or a list names something that is not there.

    Source: Ghandoura, Hjabo and Al Dakkak 2021, "Building and benchmarking an Arabic Speech
    Commands dataset for small-footprint keyword spotting".
    """
    require_folder(source, "Arabic Speech Commands", _EXPECTED)
    if (source / "manifest.tsv").is_file():
        return table_splits(source / "manifest.tsv")
    lists = {split: source / name for split, name in _LISTS.items()}
    if not all(path.is_file() for path in lists.values()):
        raise wrong_layout(source, "Arabic Speech Commands", _EXPECTED)
    folder = source / "dataset" if (source / "dataset").is_dir() else source
    return {split: _listed(path, folder) for split, path in lists.items()}


def _listed(path: Path, folder: Path) -> list[Utterance]:
    utterances = []
    for number, line in enumerate(read_lines(path), start=1):
        name = line.split(",")[0].strip().strip('"')
        if not name.endswith(".wav"):
            if number == 1 or not name:
                continue  # the header, or nothing
            raise DataError(
                f"{path}:{number}: {name!r} must be keyword/speaker_NO_take.wav; correct it"
            )
        keyword, _, file_name = name.replace("\\", "/").rpartition("/")
        if not keyword:
            raise DataError(f"{path}:{number}: {name!r} names no keyword folder; correct it")
        label = keyword.rsplit("/", maxsplit=1)[-1]
        utterances.append(
            from_file(
                folder / label / file_name,
                f"{label}/{Path(file_name).stem}",
                label=label,
                speaker=file_name.split("_")[0],
            )
        )
    return utterances
