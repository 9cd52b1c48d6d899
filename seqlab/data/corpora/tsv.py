"""A table of recordings in tab-separated text."""

from __future__ import annotations

from pathlib import Path

from seqlab.data.corpora._layout import table_splits
from seqlab.data.manifest import Utterance
from seqlab.errors import DataError


def prepare(source: Path, *, split_column: str = "split") -> dict[str, list[Utterance]]:
    """Splits of a tab-separated table with a header line.

    Columns: ``path`` relative to the table, ``transcript`` or ``label``, and where known
    ``speaker``, ``split`` (without it all is ``train``), ``start_s`` with ``duration_s``, ``id``.

    Args:
        source: the table, or a folder with ``manifest.tsv``.
        split_column: the column that names the split.

    Raises:
        DataError: naming file, line and column.
    """
    table = source / "manifest.tsv" if source.is_dir() else source
    if not table.is_file():
        raise DataError(
            f"{table} is missing, must be a tab-separated table with a header line; check the path"
        )
    return table_splits(table, split_column=split_column)
