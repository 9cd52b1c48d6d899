"""Tune the language model's weight and the word bonus on utterances that nothing was trained on.

examples: seqlab tune runs/an4 data/an4/dev.jsonl.gz --language-model words.ngram --store
          seqlab tune runs/an4 data/an4/dev.jsonl.gz --language-model words.ngram -o decoding.json
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlab.cli.adapt_options import adaptation_of, adapts, add_adapt_options, first_decoder
from seqlab.cli.decoding_options import add_decoding_options, given_settings
from seqlab.cli.terminal import Progress, print_json, print_table
from seqlab.cli.train import add_allow_module
from seqlab.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from seqlab.data.utterance import Utterance
    from seqlab.inference.settings import DecodingSettings
    from seqlab.inference.tuning import Tuning
    from seqlab.model import SpeechModel

SHOWN = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab tune``."""
    parser.add_argument("model", metavar="MODEL", help="a model folder or a run folder")
    parser.add_argument(
        "manifest", metavar="MANIFEST", help="dev utterances: a manifest or a TSV file, never test"
    )
    parser.add_argument("--split", metavar="NAME", help="split to read from a TSV file of several")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("-o", "--output", metavar="FILE", help="where the settings go (.json)")
    target.add_argument(
        "--store",
        action="store_true",
        help="keep them in the model's folder, with a copy of language model and lexicon; "
        "transcribe and evaluate then use them",
    )
    parser.add_argument("--json", action="store_true", help="print every trial as JSON")
    add_decoding_options(parser, hotwords=False)
    add_adapt_options(parser)
    add_allow_module(parser)


def as_json(tuning: Tuning) -> dict[str, Any]:
    """Everything that was found, as plain values."""
    return {
        "words": tuning.words,
        "characters": tuning.characters,
        "greedy": {"word_errors": tuning.greedy[0], "character_errors": tuning.greedy[1]},
        "trials": [
            {
                **trial.settings,
                "word_errors": trial.word_errors,
                "character_errors": trial.character_errors,
            }
            for trial in tuning.trials
        ],
    }


def print_tuning(tuning: Tuning) -> None:
    """Print the best trials, and the greedy answer to compare with."""
    names = list(tuning.trials[0].settings)
    rows = [["best path", *[""] * (len(names) - 1), *_rates(tuning, *tuning.greedy)]]
    best = sorted(tuning.trials, key=lambda trial: trial.errors)[:SHOWN]
    rows += [
        [*(f"{trial.settings[name]:g}" for name in names), *_rates(tuning, *trial.errors)]
        for trial in best
    ]
    columns = [*(name.replace("_", " ") for name in names), "word errors", "character errors"]
    print_table(columns, rows, f"{len(tuning.trials)} trials, {tuning.words} words")


def _rates(tuning: Tuning, words: int, characters: int) -> list[str]:
    from seqlab.training.findings import percent

    return [percent(words / tuning.words), percent(characters / tuning.characters)]


def adapted_log_probs(
    args: argparse.Namespace,
    model: SpeechModel,
    utterances: Sequence[Utterance],
    settings: DecodingSettings,
) -> list[Tensor]:
    """What the model says of each utterance when it is adapted to the speaker.

    The settings before tuning give the answers that it learns from.
    """
    from seqlab.inference.tuning import log_probs_of
    from seqlab.training.speakers import adapted_models

    rows: dict[str, Tensor] = {}
    with Progress(len(utterances), "adapting") as progress:
        for adapted, group in adapted_models(
            model,
            utterances,
            adaptation_of(args),
            decoder=first_decoder(args, model) or settings.decoder(model),
            progressed=lambda done, total: progress.update(done, total=total),
        ):
            found = log_probs_of(adapted, group)
            rows |= {utterance.id: row for utterance, row in zip(group, found, strict=True)}
    return [rows[utterance.id] for utterance in utterances]


def run(args: argparse.Namespace) -> int:
    """Tune."""
    from seqlab.cli.locate import load_model, model_folder
    from seqlab.data.manifest import read_manifest
    from seqlab.inference.settings import FILE_NAME, DecodingSettings
    from seqlab.inference.tuning import tune_decoding

    if args.output and Path(args.output).is_dir():
        raise DataError(f"{args.output} is a folder, must be a file; such as decoding.json")
    utterances = read_manifest(args.manifest, args.split)
    settings = given_settings(args) or DecodingSettings()
    model = load_model(args.model, args.allow_module)
    adapted = adapted_log_probs(args, model, utterances, settings) if adapts(args) else None
    with Progress(None, "trials") as progress:
        done = iter(range(1, 10**9))
        tuning = tune_decoding(
            model,
            utterances,
            settings,
            tried=lambda trial: progress.update(next(done)),
            log_probs=adapted,
        )
    if args.store:
        tuning.settings.store(model_folder(args.model))
    else:
        tuning.settings.save(args.output)
    if args.json:
        print_json(as_json(tuning))
        return 0
    print_tuning(tuning)
    print(f"written: {args.output or model_folder(args.model) / FILE_NAME}")
    return 0
