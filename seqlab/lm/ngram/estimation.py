"""From text to a finished model: numbers, counts, probabilities, cut-offs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from seqlab.checks import check_at_least
from seqlab.errors import DataError, SeqlabError
from seqlab.lm.ngram.counting import Resources, count_numbers, default_threads
from seqlab.lm.ngram.counts import NGramCounts
from seqlab.lm.ngram.cutoffs import check_cutoffs, kept_rows, select_rows
from seqlab.lm.ngram.needs import PROGRAM_BYTES, fits, parse_size
from seqlab.lm.ngram.ngrams import MAX_ORDER, BackoffTable
from seqlab.lm.ngram.numbering import Numbering, Progress, Unknown, number_text
from seqlab.lm.ngram.pruning import keep
from seqlab.lm.ngram.scratch import Scratch
from seqlab.lm.ngram.smoothing.base import Smoothing
from seqlab.lm.ngram.smoothing.registry import smoothing_named
from seqlab.lm.ngram.text import SPACE, TextSource, Unit, text_blocks, unpacked_size


@dataclasses.dataclass(frozen=True)
class Estimation:
    """How a model is estimated; ``NGramModel.estimate`` documents the arguments."""

    order: int = 5
    smoothing: str | Smoothing = "modified_kneser_ney"
    unit: Unit = "word"
    space: str = SPACE
    vocabulary: Iterable[str] | None = None
    min_count: int = 1
    unknown: Unknown = "class"
    marks: bool = True
    cutoffs: Sequence[int] = ()
    memory: int | str | None = None
    scratch_folder: str | Path | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        check_at_least("order", self.order, 1)
        if self.order > MAX_ORDER:
            raise SeqlabError(f"order={self.order} must be at most {MAX_ORDER}; lower it")
        check_cutoffs(self.cutoffs)
        if self.threads is not None:
            check_at_least("threads", self.threads, 1)
        if self.memory is not None:
            parse_size(self.memory)
        if self.scratch_folder is not None and not Path(self.scratch_folder).is_dir():
            raise DataError(f"scratch folder {self.scratch_folder} is not a folder; create it")

    def scratch(self, source: TextSource) -> Scratch:
        """Where large arrays go: on disk if the text outgrows the memory allowed."""
        if self.memory is None or fits(
            unpacked_size(source), self.order, parse_size(self.memory), self.unit
        ):
            return Scratch()
        return Scratch(self.scratch_folder or Path.cwd(), parse_size(self.memory))

    def numbering(self) -> Numbering:
        """Which words the model knows."""
        words = None if self.vocabulary is None else tuple(self.vocabulary)
        return Numbering(words, self.min_count, self.unknown, self.marks)

    def method(self) -> Smoothing:
        """The smoothing, with the cut-offs where they are part of it."""
        method = self.smoothing
        if not isinstance(method, Smoothing):
            method = smoothing_named(method)
        return method.with_cutoffs(self.cutoffs) if any(self.cutoffs) else method

    def count(
        self, source: TextSource, scratch: Scratch, progress: Progress | None = None
    ) -> NGramCounts:
        """Counts of the n-grams of a text, in one pass over it."""
        blocks = text_blocks(source, self.unit, space=self.space)
        text = number_text(blocks, self.numbering(), scratch, progress)
        return count_numbers(text, self.order, self.resources(scratch), progress)

    def resources(self, scratch: Scratch) -> Resources:
        """What counting may use: a third of the memory allowed goes to sorting."""
        memory = (scratch.memory - PROGRAM_BYTES) // 3 if scratch.on_disk else None
        return Resources(scratch, memory, self.threads or default_threads())

    def estimate(
        self, counts: NGramCounts, scratch: Scratch, progress: Progress | None = None
    ) -> BackoffTable:
        """The model of these counts."""
        if progress is not None:
            progress("smoothing", 0, None)
        method = self.method()
        table = method.estimate(counts, scratch)
        if any(method.cutoffs):  # what they leave out is accounted for
            return select_rows(table, kept_rows(counts, method.cutoffs, scratch), scratch)
        if any(self.cutoffs):
            return keep(table, kept_rows(counts, self.cutoffs, scratch), scratch)
        return table


def estimate_table(
    source: TextSource, estimation: Estimation, scratch: Scratch, progress: Progress | None = None
) -> BackoffTable:
    """The model of a text; its large arrays live as long as ``scratch`` where that is on disk."""
    return estimation.estimate(estimation.count(source, scratch, progress), scratch, progress)
