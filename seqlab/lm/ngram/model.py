"""The n-gram model as users see it: estimated, stored, asked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from seqlab.checks import did_you_mean
from seqlab.errors import ModelError
from seqlab.lm.ngram.arpa import read_arpa, write_arpa
from seqlab.lm.ngram.binary import is_binary, open_binary, write_binary
from seqlab.lm.ngram.distributed import estimate_on_cluster
from seqlab.lm.ngram.estimation import Estimation, estimate_table
from seqlab.lm.ngram.facts import Facts
from seqlab.lm.ngram.numbering import Progress, Unknown
from seqlab.lm.ngram.sampling import complete, sample_many
from seqlab.lm.ngram.scoring import ScoringModel, Sentence
from seqlab.lm.ngram.smoothing.base import Smoothing
from seqlab.lm.ngram.successors import Successors
from seqlab.lm.ngram.text import SPACE, TextSource, Unit

__all__ = ["NGramModel", "Sentence"]


class NGramModel(ScoringModel):
    """An n-gram language model: ``estimate`` it from text, ``load`` it, ask it.

    Log-probabilities are natural. A sentence is a line of text, cut into words as the model's
    own text was, or a list of words. Words that the model does not know count as ``<unk>``.

    Args:
        table: the n-grams with their values, or
        index: the hash tables that score; each is made from the other when it is first needed.
        facts: how the model came about; they travel with its file.
        scratch: where further large arrays go; memory unless told otherwise.

    Example:
        >>> model = NGramModel.estimate(
        ...     ["a rose is a rose", "a rose is red"], order=2, smoothing="witten_bell"
        ... )
        >>> round(model.log_prob("rose", "a"), 4), model.score("a rose") < model.score("rose a")
        (-0.2108, False)
        >>> state = model.initial_state()
        >>> log_prob, state = model.advance(state, "a")
        >>> log_prob == model.log_prob("a", "<s>")
        True
    """

    @classmethod
    def estimate(
        cls,
        source: TextSource,
        order: int = 5,
        smoothing: str | Smoothing = "modified_kneser_ney",
        *,
        unit: Unit = "word",
        space: str = SPACE,
        vocabulary: Iterable[str] | None = None,
        min_count: int = 1,
        unknown: Unknown = "class",
        marks: bool = True,
        cutoffs: Sequence[int] = (),
        memory: int | str | None = None,
        scratch_folder: str | Path | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
        client: Any = None,
    ) -> NGramModel:
        """Estimate a model from text.

        Args:
            source: a file of sentences, one a line (plain, gzip, bzip2, xz; ``-`` is standard
                input), several files (``Path``), or an iterable of sentences, whole or cut into
                words. It is read once.
            order: length of the longest n-grams, 1 to 9.
            smoothing: a name of ``smoothing_named`` or an object with options, such as
                ``Lidstone(k=0.01)``.
            unit: what a word of the model is: ``"word"``, ``"character"``, or the file of a
                sentencepiece model.
            space: for characters, the word that stands for white space.
            vocabulary: the words to know; None takes all.
            min_count: words that occur less often are left out.
            unknown: what becomes of words left out and of ``<unk>`` in the text; see
                ``Numbering``.
            marks: whether sentences begin with ``<s>`` and end with ``</s>``.
            cutoffs: for each order from the first, n-grams that occur so often or less are left
                out, such as (0, 0, 1); the last value serves all longer ones.
            memory: how much may be used, such as ``"2G"``; a text that needs more goes by way of
                files in ``scratch_folder``, with every smoothing. None works in memory.
            scratch_folder: default the current folder.
            threads: of the processor; None takes up to four. They do not change the model.
            progress: called with what is done, how far it is, and of how many (or None).
            client: of a Dask cluster that counts, see ``count_on_cluster``; the model is the same.

        Raises:
            SeqlabError: an argument out of range, or a text that cannot be used.
        """
        estimation = Estimation(
            order, smoothing, unit, space, vocabulary, min_count, unknown, marks, cutoffs,
            memory, scratch_folder, threads,
        )  # fmt: skip
        scratch = estimation.scratch(source)
        if client is None:
            table = estimate_table(source, estimation, scratch, progress)
        else:
            table = estimate_on_cluster(source, estimation, client, scratch, progress=progress)
        facts = Facts(estimation.method().name, Facts.unit_name(unit), space, marks)
        return cls(table, facts=facts, scratch=scratch)

    @classmethod
    def load(cls, path: str | os.PathLike[str], verify: bool = True) -> NGramModel:
        """The model of a file: binary (memory-mapped) or ARPA, told by its content.

        Loading runs nothing that the file holds.

        Args:
            path: of the file; ARPA may be packed by gzip or xz.
            verify: whether the checksum of a binary file is compared. Without, a file of any
                size is there at once, and a damaged one may give wrong scores, but no crash.

        Raises:
            ModelError: it is no such file, damaged, or of another version.
        """
        path = Path(path)
        if not path.is_file():
            near = [entry.name for entry in path.parent.glob("*")] if path.parent.is_dir() else []
            raise ModelError(f"{path} is not a file{did_you_mean(path.name, near)}")
        if is_binary(path):
            _, index = open_binary(path, verify)
            return cls(index=index, facts=Facts.from_json(index.note) if index.note else None)
        return cls(read_arpa(path))

    def save(
        self,
        path: str | os.PathLike[str],
        quantise: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Write a binary file that ``load`` maps into memory; it appears whole or not at all.

        Args:
            path: of the file, customarily ``.ngram``.
            quantise: whether values are rounded to 8 bits, for a file of less than half the size.
            progress: as for ``estimate``.

        Raises:
            OSError: it cannot be written.
        """
        model, note = self._table or self.index, self.facts.to_json()
        write_binary(model, path, quantise, note, self._scratch, progress)

    def write_arpa(self, path: str | os.PathLike[str], progress: Progress | None = None) -> None:
        """Write an ARPA file, packed if the name ends in ``.gz``; it appears whole or not at all.

        Args:
            path: of the file.
            progress: as for ``estimate``.

        Raises:
            ModelError: stupid back-off, which ARPA cannot hold.
            OSError: it cannot be written.
        """
        write_arpa(self.table, path, progress)

    def __repr__(self) -> str:
        counts = ", ".join(map(str, self.sizes))
        return f"NGramModel(order={self.order}, ngrams=({counts}), {self.facts})"

    def sample(
        self,
        count: int = 1,
        seed: int | np.random.Generator = 0,
        max_words: int = 100,
        temperature: float = 1.0,
        top_k: int | None = None,
        prefix: Sentence = "",
        unknown: bool = True,
    ) -> list[list[str]]:
        """Draw sentences from the model; see ``seqlab.lm.ngram.sampling.sample``."""
        return sample_many(
            self._successors, count, seed, max_words, temperature, top_k, prefix, unknown
        )

    def complete(self, prefix: Sentence, count: int = 10) -> list[Any]:
        """The most probable next words; see ``seqlab.lm.ngram.sampling.complete``."""
        return complete(self._successors, prefix, count)

    @cached_property
    def _successors(self) -> Successors:
        return Successors.of(self.table)
