"""Noise recordings and room impulse responses, for augmentation and for silence."""

from __future__ import annotations

from pathlib import Path

from seqlab.data.corpora._babble import make_babble
from seqlab.data.corpora._impacts import make_impacts
from seqlab.data.corpora._layout import audio_files, require_folder, wrong_layout
from seqlab.data.manifest import Utterance, from_file
from seqlab.data.table import read_lines
from seqlab.errors import DataError

_EXPECTED = "manifest.tsv with the columns path, kind and split; or folders noise/ and rir/"


def prepare(
    source: Path,
    *,
    babble: str = "",
    babble_minutes: float = 10.0,
    impacts_minutes: float = 0.0,
    dest: Path | None = None,
) -> dict[str, list[Utterance]]:
    """Manifests ``noise_train``, ``rir_train`` and so on, of what recipes mix into speech.

    Recordings have neither label nor transcript. ``data.augment.noise`` and ``reverberation`` of a
    recipe take these manifests, ``data.silence.sources`` those of noise.

    Args:
        source: a folder with ``manifest.tsv``, whose column ``kind`` begins with ``noise`` or
            ``rir`` and whose column ``split`` names the split; or a folder with the folders
            ``noise`` or ``rir``, all of which is ``train``.
        babble: manifest of training speech, of which recordings of several voices at once are
            made and join ``noise_train``; empty: none. Real noises are mostly few.
        babble_minutes: how much of it.
        impacts_minutes: how much clatter of hard things is made and joins ``noise_train``;
            0: none.
        dest: folder of what is made (``babble/`` and ``impacts/`` in it).

    Raises:
        DataError: another layout, and the message names file and line; or speech that cannot be
            used.
    """
    require_folder(source, "noise and impulse responses", _EXPECTED)
    splits = _found(source)
    if not (babble or impacts_minutes):
        return splits
    if dest is None:
        raise DataError("babble and impacts are new recordings; name a folder dest for them")
    made = splits.get("noise_train", [])
    if babble:
        made = made + make_babble(babble, babble_minutes, dest)
    if impacts_minutes:
        made = made + make_impacts(impacts_minutes, dest)
    splits["noise_train"] = made
    return splits


def _found(source: Path) -> dict[str, list[Utterance]]:
    if (source / "manifest.tsv").is_file():
        return _listed(source / "manifest.tsv")
    found = {
        f"{kind}_train": [
            from_file(path, path.relative_to(source).as_posix())
            for path in audio_files(source / kind)
        ]
        for kind in ("noise", "rir")
    }
    if not any(found.values()):
        raise wrong_layout(source, "noise and impulse responses", _EXPECTED)
    return {name: recordings for name, recordings in found.items() if recordings}


def _listed(table: Path) -> dict[str, list[Utterance]]:
    lines = read_lines(table)
    header = lines[0].split("\t") if lines else []
    for column in ("path", "kind", "split"):
        if column not in header:
            raise DataError(f"{table}:1: the header has no column {column!r}; add it")
    splits: dict[str, list[Utterance]] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != len(header):
            raise DataError(
                f"{table}:{number}: {len(cells)} columns, must be {len(header)} as in the header"
            )
        row = dict(zip(header, cells, strict=True))
        kind = row["kind"].partition(":")[0]
        if kind not in ("noise", "rir"):
            raise DataError(f"{table}:{number}: kind {kind!r} must be noise or rir; correct it")
        recording = from_file(table.parent / row["path"], row["path"])
        splits.setdefault(f"{kind}_{row['split']}", []).append(recording)
    return dict(sorted(splits.items()))
