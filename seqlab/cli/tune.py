"""Tune the language model's weight and the word bonus on utterances that nothing was trained on.

examples: seqlab tune runs/an4 data/an4/dev.jsonl.gz --language-model words.ngram --store
          seqlab tune runs/an4 data/an4/dev.jsonl.gz --language-model words.ngram -o decoding.json
"""

from __future__ import annotations

import argparse
import dataclasses
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
    from seqlab.inference.tuning import Fold, Tuning

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
    parser.add_argument(
        "--fold",
        action="append",
        nargs=3,
        default=[],
        metavar=("MODEL", "MANIFEST", "LM"),
        help="another model, utterances and language model (- for none) trained without them: the "
        "errors of all folds are summed; may be given many times",
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


def make_fold(
    args: argparse.Namespace, name: str, utterances: Sequence[Utterance], settings: DecodingSettings
) -> Fold:
    """A model and its utterances; where it is to be adapted, what it says when it is.

    Settings before tuning give the answers that it learns from.
    """
    from seqlab.cli.locate import load_model
    from seqlab.inference.tuning import Fold, log_probs_of
    from seqlab.training.speakers import adapted_models

    model = load_model(name, args.allow_module)
    if not adapts(args):
        return Fold(model, utterances, settings)
    first = first_decoder(args, model, settings.language_model) or settings.decoder(model)
    rows: dict[str, Tensor] = {}
    with Progress(len(utterances), "adapting") as progress:
        for adapted, group in adapted_models(
            model,
            utterances,
            adaptation_of(args),
            decoder=first,
            progressed=lambda done, total: progress.update(done, total=total),
        ):
            found = log_probs_of(adapted, group)
            rows |= {utterance.id: row for utterance, row in zip(group, found, strict=True)}
    return Fold(model, utterances, settings, [rows[utterance.id] for utterance in utterances])


def folds_of(args: argparse.Namespace) -> list[Fold]:
    """The first fold and those of ``--fold``."""
    from seqlab.data.manifest import read_manifest
    from seqlab.inference.settings import DecodingSettings

    settings = given_settings(args) or DecodingSettings()
    folds = [make_fold(args, args.model, read_manifest(args.manifest, args.split), settings)]
    for model, manifest, language_model in args.fold:
        other = None if language_model == "-" else language_model
        if (other is None) != (settings.language_model is None):
            raise DataError(
                f"--fold {model} {manifest} {language_model}: either all folds have a language "
                "model or none has"
            )
        own = dataclasses.replace(settings, language_model=other)
        folds.append(make_fold(args, model, read_manifest(manifest), own))
    return folds


def run(args: argparse.Namespace) -> int:
    """Tune."""
    from seqlab.cli.locate import model_folder
    from seqlab.inference.settings import FILE_NAME
    from seqlab.inference.tuning import tune_folds

    if args.output and Path(args.output).is_dir():
        raise DataError(f"{args.output} is a folder, must be a file; such as decoding.json")
    folds = folds_of(args)
    with Progress(None, "trials") as progress:
        done = iter(range(1, 10**9))
        tuning = tune_folds(folds, tried=lambda trial: progress.update(next(done)))
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
