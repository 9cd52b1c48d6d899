"""A detector of typed phrases, from nothing but their letters.

Synthetic voices say the phrases, what sounds nearly like them, and other sentences; a small causal
network learns to tell them apart; thresholds are chosen for a wanted rate of false alarms; and the
model is exported. DIR then holds script.tsv (what is said), data/, recipe.yaml, run/ (training
and model), onnx/ (the export) and result.json. Script and recipe may be edited after
--prepare-only; --resume goes on from wherever a run was stopped.

Synthetic voices are no people: recordings of speech without the phrases (--negatives) and of noise
(--noise) are what helps most; half of each is learnt from, half chooses the thresholds. A model
that has learnt the phones of people (--phones) is kept as it is, and a detector put on top of it.

example: seqlab wakeword "hey sunflower" -o runs/sunflower
example: seqlab wakeword "hey sunflower" "good night" -o runs/two --noise noises/ --epochs 60
"""

from __future__ import annotations

import argparse
import json
import shlex
import time
from pathlib import Path
from typing import Any

from seqlab.cli.terminal import duration, print_json, print_table, say
from seqlab.cli.wakeword_stages import EPOCHS, PLACES, RECIPE, SETTINGS
from seqlab.errors import DataError

TAKES_OVERRIDES = True
_MOST_HOURS = 3.0
_PATHS = (*PLACES, "phones")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab wakeword``."""
    parser.add_argument("phrases", nargs="+", metavar="PHRASE", help="English words, in quotes")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of everything")
    numbers: list[tuple[str, type, Any, str, str]] = [
        ("voices", int, 70, "N", "synthetic voices, 2 to 70, each fourth for dev; default: 70"),
        ("copies", int, 3, "N", "takes of each text by each voice; default: 3"),
        ("epochs", int, EPOCHS, "N", f"of the training; default: {EPOCHS}"),
        ("seed", int, 0, "N", "of everything that is drawn; default: 0"),
        ("false-alarms-per-hour", float, 0.4, "RATE", "allowed for each phrase; default: 0.4"),
        (
            "hours", float, None, "H",
            "of synthetic sentences that the thresholds are chosen on, and of as many others to "
            "learn from; default: as many as can tell the rate, 3 at most",
        ),
    ]  # fmt: skip
    for name, kind, default, metavar, text in numbers:
        parser.add_argument(f"--{name}", type=kind, default=default, metavar=metavar, help=text)
    parser.add_argument(
        "--programs", default="", metavar="NAMES", help="other programs on this machine that "
        "speak, or their voices: mbrola, flite:slt ...; all: what is found"
    )  # fmt: skip
    parser.add_argument(
        "--negatives", default="", metavar="MANIFEST", help="speech without the phrases"
    )
    parser.add_argument("--noise", default="", metavar="DIR", help="recordings of noise")
    parser.add_argument(
        "--phones", default="", metavar="MODEL", help="a model of phones to stand on, which "
        "recipes/kws/wakeword/phones.yaml trains on people"
    )  # fmt: skip
    parser.add_argument(
        "--prepare-only", action="store_true", help="stop before the training, to look or to edit"
    )
    parser.add_argument("--resume", action="store_true", help="go on in a folder begun before")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """What decides the result, to be the same when a run is resumed.

    Raises:
        DataError: a value is out of range.
    """
    rate = args.false_alarms_per_hour
    if not 0 <= rate <= 1000:
        raise DataError(f"--false-alarms-per-hour {rate} must be 0 to 1000; 0.4 is usual")
    if args.epochs < 1:
        raise DataError(f"--epochs {args.epochs} must be 1 or more")
    hours = args.hours
    if hours is None:
        hours = min(_MOST_HOURS, max(0.25, 1 / rate)) if rate else _MOST_HOURS
    where = {n: str(Path(p).resolve()) if (p := getattr(args, n)) else "" for n in _PATHS}
    return {
        "phrases": [" ".join(phrase.lower().split()) for phrase in args.phrases],
        "voices": args.voices,
        "copies": args.copies,
        "epochs": args.epochs,
        "seed": args.seed,
        "false_alarms_per_hour": rate,
        "hours": hours,
        "programs": args.programs,
        **where,
    }


def check_place(folder: Path, settings: dict[str, Any], resume: bool) -> None:
    """Refuse to write over something else, or to go on with other settings.

    Raises:
        DataError: as said.
    """
    path = folder / SETTINGS
    if not path.is_file():
        if folder.exists() and (folder.is_file() or any(folder.iterdir())):
            raise DataError(f"{folder} exists and is no wake word's folder; choose another")
        return
    if not resume:
        raise DataError(f"{folder} already holds a wake word; go on with --resume, or name another")
    try:
        stored = {"phones": "", **json.loads(path.read_text(encoding="utf-8"))["settings"]}
        other = [name for name, value in settings.items() if stored[name] != value]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is damaged; begin anew in another folder") from None
    if other:
        name = other[0]
        raise DataError(
            f"{name} is {settings[name]!r} but was {stored[name]!r} when {folder} was begun; "
            "resume with the same options, or name another folder"
        )


def show(folder: Path, result: dict[str, Any], rate: float, exported: bool) -> None:
    """Print the figures, what they cannot tell, and how to use the model."""
    from seqlab.cli.operating_point import say_resolution

    near = result["near_misses"]
    columns = ["phrase", "threshold", "missed", "of", "false alarms", "per hour", "at most"]
    rows = [
        [r["label"], f"{r['threshold']:.4f}", r["missed"], r["keywords"], r["false_alarms"],
         f"{r['false_alarms_per_hour']:.2f}", f"{r['at_most_per_hour']:.2f}",
         r["near_misses_heard"]]
        for r in result["labels"]
    ]  # fmt: skip
    print_table([*columns, f"of {near} near misses"], rows)
    say_resolution(result["negative_hours"], rate)
    say("note: the phrases, and most of the rest, are synthetic speech; expect it to do worse "
        "on people")  # fmt: skip
    print("To hear it in recordings, or while somebody speaks:")
    model = str(folder / ("onnx" if exported else "run"))
    print(f"  {shlex.join(['seqlab', 'spot', model, 'RECORDING.wav'])}")
    print(f"  {shlex.join(['seqlab', 'spot', model, '--microphone'])}")


def run(args: argparse.Namespace) -> int:
    """Go through the stages."""
    from seqlab.cli import wakeword_stages as stages
    from seqlab.cli.train import reproducing_command

    started = time.monotonic()
    folder = Path(args.output).expanduser()
    settings = settings_of(args)
    check_place(folder, settings, args.resume)
    say("1. What is to be said ...")
    stages.write_script(folder, settings)
    say("2. Saying it with espeak-ng ...")
    stages.make_speech(folder, settings, quiet=args.json)
    recipe = stages.write_recipe(folder, settings, args.overrides)
    if args.prepare_only:
        if args.json:
            print_json({"folder": str(folder), **stored_notes(folder)})
        say(f"{folder / RECIPE} is ready; the same command with --resume, not --prepare-only, "
            "trains it")  # fmt: skip
        return 0
    say("3. Training ...")
    stages.train(folder, recipe, reproducing_command(args.argv, {}))
    say(f"4. Choosing thresholds on {settings['hours']:.2g} hours or more ...")
    result = stages.choose_thresholds(folder, settings)
    say("5. Exporting ...")
    exported = stages.export(folder)
    if args.json:
        places = {"model": str(folder / "run" / "model")}
        places["export"] = str(folder / "onnx") if exported else ""
        print_json({"folder": str(folder), **stored_notes(folder), **places, **result})
        return 0
    show(folder, result, settings["false_alarms_per_hour"], exported)
    say(f"All of it took {duration(time.monotonic() - started)}.")
    return 0


def stored_notes(folder: Path) -> dict[str, Any]:
    """What was remarked on the phrases when the folder was begun, for ``--json``."""
    content = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    return {"phrases": content["settings"]["phrases"], "notes": content["notes"]}
