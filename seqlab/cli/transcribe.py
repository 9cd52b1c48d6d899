"""Speech in files to text: one line a file, the path and the text with a tab between them.

example: seqlab transcribe runs/an4 a.wav b.flac --times
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from seqlab.cli import recognise
from seqlab.cli.terminal import print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seqlab.contracts import Hypothesis


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab transcribe``."""
    recognise.add_arguments(parser)
    parser.add_argument(
        "--times", action="store_true", help="a line a word: path, start and end (s), word"
    )


def word_times(
    hypothesis: Hypothesis, decode: Callable[[Sequence[int]], str]
) -> list[dict[str, Any]]:
    """Start, end and confidence of each word, from those of its tokens.

    Args:
        hypothesis: with token times and confidences.
        decode: tokens to text, such as a tokenizer's.
    """
    words: list[dict[str, Any]] = []
    text_words = hypothesis.text.split()
    facts = zip(hypothesis.token_times, hypothesis.token_confidences, strict=True)
    for index, ((start, end), confidence) in enumerate(facts):
        token = hypothesis.tokens[index]
        if not decode([token]).strip():
            continue
        place = len(decode(hypothesis.tokens[: index + 1]).split()) - 1
        if place == len(words) and place < len(text_words):
            word = {"word": text_words[place], "start_s": start, "end_s": end}
            words.append(word | {"confidence": confidence})
        elif words:
            words[-1]["end_s"] = end
            words[-1]["confidence"] = min(words[-1]["confidence"], confidence)
    return words


def as_json(file: str, hypothesis: Hypothesis, words: list[dict[str, Any]]) -> dict[str, Any]:
    """One answer as plain values."""
    return {
        "file": file,
        "text": hypothesis.text,
        "confidence": hypothesis.confidence,
        "words": words,
    }


def run(args: argparse.Namespace) -> int:
    """Transcribe."""
    from seqlab.cli.locate import load_model, warn_if_synthetic

    model = load_model(args.model, args.allow_module)
    recognise.check_task(model, args.model, "transcription")
    warn_if_synthetic(model)
    failed: list[str] = []
    collected = []
    answers = recognise.recognise(
        model, args.files, lambda w: model.transcribe([w], model.sample_rate)[0], failed
    )
    for file, hypothesis in answers:
        words = word_times(hypothesis, model.tokenizer.decode) if args.times or args.json else []
        if args.json:
            collected.append(as_json(file, hypothesis, words))
        elif args.times:
            for w in words:
                print(f"{file}\t{w['start_s']:.2f}\t{w['end_s']:.2f}\t{w['word']}")
        else:
            print(f"{file}\t{hypothesis.text}")
    if args.json:
        print_json(collected)
    recognise.raise_failed(failed, len(args.files))
    return 0
