"""What several n-gram commands need of texts: how they are cut into words, read and scored."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from seqlab.errors import DataError, SeqlabError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seqlab.lm.ngram.facts import Facts
    from seqlab.lm.ngram.model import NGramModel
    from seqlab.lm.ngram.token_scores import TokenScores

TEXT_HELP = "text, a sentence a line; plain, gzip, bzip2 or xz; - is standard input"


class Cutting(TypedDict, total=False):
    """How a text is cut into words: arguments of ``text_blocks``."""

    unit: str
    space: str


def add_unit(parser: argparse._ActionsContainer, default: str = "as the model's") -> None:
    """Describe ``--unit`` and ``--space``."""
    parser.add_argument(
        "--unit",
        metavar="UNIT",
        help="what a word of the model is: word, character, or a sentencepiece .model file; "
        f"default: {default}",
    )
    parser.add_argument(
        "--space",
        metavar="SIGN",
        help="with characters, the word that stands for a space; default: "
        + ("\u2581" if default == "word" else default),
    )


def unit_options(args: argparse.Namespace, facts: Facts | None = None) -> Cutting:
    """``unit`` and ``space`` as the library takes them.

    Args:
        args: of the command line.
        facts: of the model that is asked, if there is one already.

    Raises:
        SeqlabError: ``--space`` has no use, or pieces need their sentencepiece model.
    """
    options: Cutting = {"unit": args.unit or (facts.unit if facts else "word")}
    if options["unit"] == "subword":
        raise SeqlabError(
            "the model's words are pieces of words; give their sentencepiece model, --unit "
            "FILE.model, or --unit word for a text that is cut already"
        )
    if options["unit"] == "character" and (facts or args.space is not None):
        options["space"] = args.space if args.space is not None or not facts else facts.space
    elif args.space is not None:
        raise SeqlabError(f"--space {args.space} needs --unit character; leave it out")
    return options


def text_source(texts: Sequence[str]) -> list[Path]:
    """The texts of the command line, checked before long work begins.

    Raises:
        SeqlabError: one does not exist or is a folder.
    """
    for text in texts:
        if text == "-":
            continue
        if not os.path.exists(text):
            raise SeqlabError(f"text {text} does not exist; name a file, or - for standard input")
        if os.path.isdir(text):
            raise SeqlabError(f"text {text} is a folder; name the files in it")
    if list(texts).count("-") > 1:
        raise SeqlabError("standard input (-) can be read only once; name it once")
    return [Path(text) for text in texts]


def add_text_options(parser: argparse.ArgumentParser) -> None:
    """Describe how a text to score is read."""
    add_unit(parser)
    parser.add_argument(
        "--no-sentence-marks",
        action="store_true",
        help="lines do not begin with <s> and end with </s>; default: as the model was trained",
    )


def scored_blocks(model: NGramModel, args: argparse.Namespace) -> Iterator[TokenScores]:
    """Scores of all tokens of a text, a block of whole lines at a time."""
    import numpy as np

    from seqlab.lm.ngram.text import text_blocks

    marks, lines = model.facts.marks and not args.no_sentence_marks, 0
    for block in text_blocks(text_source(args.text), **unit_options(args, model.facts)):
        try:
            yield token_scores(model, block, marks)
        except DataError as error:
            raise DataError(f"{error} (counted from line {lines + 1} of the text)") from None
        lines += int(np.count_nonzero(block == ord("\n")))


def token_scores(model: NGramModel, block: NDArray[np.uint8], marks: bool) -> TokenScores:
    """Scores of the tokens of whole lines; every line is a sentence, if one of no tokens."""
    import numpy as np

    from seqlab.lm.ngram.token_scores import TokenScores
    from seqlab.lm.ngram.words import BEGIN, END, GAP

    numbers = model.words.numbers(block, marks=marks)
    if not marks:  # a gap ends the last line, too
        numbers = np.append(numbers, np.int32(GAP))
    log_probs, orders = model.scorer.numbers(numbers)
    predicted = (numbers != BEGIN) & (numbers != GAP)
    ends = np.cumsum(predicted)[numbers == (END if marks else GAP)]
    return TokenScores(
        model.words,
        numbers[predicted],
        log_probs[predicted].astype(np.float64),
        orders[predicted].astype(np.int8),
        ends.astype(np.int64),
    )


def merged_scores(blocks: Iterable[TokenScores]) -> TokenScores:
    """Scores of a whole text.

    Raises:
        SeqlabError: the text is empty.
    """
    import numpy as np

    from seqlab.lm.ngram.token_scores import TokenScores

    parts = list(blocks)
    if not parts:
        raise SeqlabError("the text is empty; give at least one line")
    before = np.cumsum([0, *(len(part) for part in parts[:-1])])
    return TokenScores(
        parts[0].words,
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.log_probs for part in parts]),
        np.concatenate([part.orders for part in parts]),
        np.concatenate([part.ends + start for part, start in zip(parts, before, strict=True)]),
    )


def parted(text: str, options: Cutting) -> list[str]:
    """The words, characters or pieces of one line."""
    from seqlab.lm.ngram.text import text_blocks

    blocks = text_blocks([text], **options)
    return b"".join(block.tobytes() for block in blocks).decode(errors="surrogateescape").split()


def joined(words: Iterable[str], args: argparse.Namespace, facts: Facts) -> str:
    """Words, characters or pieces as text."""
    if (args.unit or facts.unit) == "word":
        return " ".join(words)
    space = facts.space if args.space is None else args.space
    return "".join(words).replace(space or " ", " ").strip()
