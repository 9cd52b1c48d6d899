"""The stages of ``seqlab wakeword``: each leaves its files whole, and skips what is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlab.cli.terminal import Progress, print_table, say
from seqlab.errors import MissingDependencyError

if TYPE_CHECKING:
    from seqlab.data.manifest import Utterance
    from seqlab.recipe import Recipe

BASE = "recipes/kws/wakeword/mdtc.yaml"
SETTINGS, SCRIPT, RECIPE, RESULT = "wakeword.json", "script.tsv", "recipe.yaml", "result.json"
OPTIONS, PLACES = ("voices", "copies", "seed", "hours", "programs"), ("noise", "negatives")
EPOCHS = 40  # of synthetic speech, of which there is more than of the shipped recipe's
# As recipes/kws/fsdd found: on synthetic speech masks do harm; warped bands are more voices.
SYNTHETIC_MASKS = {"num_time_masks": 0, "num_frequency_masks": 0, "max_frequency_warp": 2}
_CHECKED_ON = 4  # recordings that the export is held against torch on


def write_script(folder: Path, settings: dict[str, Any]) -> None:
    """What is to be said; an older script is kept, for a person may have changed it."""
    from seqlab.data.corpora.typed_phrases import check_options
    from seqlab.data.manifest import write_atomically
    from seqlab.pronunciation.wake_phrases import check_phrases, make_script
    from seqlab.text.lexicon import Lexicon
    from seqlab.text.sayings import write_sayings

    if (folder / SCRIPT).is_file():
        return
    check_options(**{name: settings[name] for name in (*OPTIONS, *PLACES)})
    start_of(settings)  # before anything is said
    lexicon = Lexicon.english(stress=True)
    phrases, notes = check_phrases(settings["phrases"], lexicon)
    for note in notes:
        say(f"warning: {note}")
    script = make_script(phrases, lexicon, settings["seed"])
    content = json.dumps({"settings": settings, "notes": notes}, indent=1, ensure_ascii=False)
    write_atomically(folder / SETTINGS, f"{content}\n".encode())
    write_atomically(folder / SCRIPT, write_sayings(script).encode())


def make_speech(folder: Path, settings: dict[str, Any], quiet: bool) -> None:
    """Speech and manifests; what is there and whole is not made again."""
    from seqlab.data.corpora import prepare
    from seqlab.data.corpora.typed_phrases import read_script, speak, voice_plans

    options = {name: settings[name] for name in OPTIONS}
    plans = voice_plans(read_script(folder / SCRIPT), **options)
    with Progress(len(plans), "voices") as progress:
        speak(plans, folder / "data" / "speech", lambda done, _: progress.update(done))
    places = {name: settings[name] for name in PLACES}
    summary = prepare("typed_phrases", folder / SCRIPT, folder / "data", **options, **places)
    if not quiet:
        header, *rows = summary.rows()
        print_table(header, rows)


def write_recipe(folder: Path, settings: dict[str, Any], overrides: list[str]) -> Recipe:
    """The recipe of the folder, the shipped one with this folder's data; an older one is kept."""
    from seqlab.cli.locate import find_recipe
    from seqlab.data.manifest import write_atomically
    from seqlab.recipe import load_recipe
    from seqlab.recipe_file import dump_yaml, read_yaml

    path = folder / RECIPE
    if not path.is_file():
        base = read_yaml(find_recipe(BASE))
        training = {
            **base["training"],
            "result": "best",
            "false_alarms_per_hour": settings["false_alarms_per_hour"],
            "epochs": settings["epochs"],
            "validate_every_epochs": max(1, settings["epochs"] // 5),
        }
        base |= {
            "title": f"Wake word from typed text: {', '.join(settings['phrases'])}",
            "seed": settings["seed"],
            "synthetic": True,
            "data": data_section(base["data"], folder / "data"),
            "spec_augment": dict(SYNTHETIC_MASKS),
            "training": training,
            **start_of(settings),
        }
        write_atomically(path, dump_yaml(base).encode())
    if overrides:
        write_atomically(path, load_recipe(path, overrides).to_yaml().encode())
    return load_recipe(path)


def start_of(settings: dict[str, Any]) -> dict[str, Any]:
    """Sections of the recipe that say what the training begins with."""
    from seqlab.cli.wakeword_phones import phone_sections

    return phone_sections(settings["phones"]) if settings["phones"] else {"warm_start": None}


def data_section(base: dict[str, Any], data: Path) -> dict[str, Any]:
    """The recipe's ``data``: batches and augmentation of the shipped one, manifests of here."""
    from seqlab.data.manifest import read_manifest

    def there(*names: str) -> list[str]:
        return [f"{name}.jsonl.gz" for name in names if (data / f"{name}.jsonl.gz").is_file()]

    keywords = read_manifest(data / "train.jsonl.gz")
    noise = there("noise_train")
    needs = ("reverberation", "noise") if not noise else ("reverberation",)
    augment = {k: v for k, v in base["augment"].items() if not k.startswith(needs)}
    if noise:
        augment["noise"] = noise[0]
    else:
        augment["colored_noise_snr_db"] = [5, 40]
    other = there("near_train", "other_train", "negatives_train")
    return {
        "root": str(data.resolve()),
        "test": [],
        "batch_size": base["batch_size"],
        "unknown": {"sources": other, "per_epoch": len(keywords)},
        "silence": {"sources": noise, "per_epoch": max(1, len(keywords) // 8)},
        "negatives": there("judged"),
        "augment": augment,
    }


def train(folder: Path, recipe: Recipe, command: list[str]) -> None:
    """Train, from the last checkpoint where there is one; a finished training is kept."""
    from seqlab.cli.train import train_with_progress

    run_folder = folder / "run"
    if (run_folder / "run.json").is_file():
        return
    begun = (run_folder / "checkpoints" / "last.pt").is_file()
    train_with_progress(recipe, run_folder, command, resume=begun)


def choose_thresholds(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Thresholds into the model folder, figures into ``result.json``; both are kept if there."""
    from seqlab.cli import operating_point
    from seqlab.cli.locate import load_model
    from seqlab.data.manifest import read_manifest, write_atomically
    from seqlab.decoding.keyword import DetectorSettings
    from seqlab.inference.hearing import count_alarms, sound_of
    from seqlab.inference.judging import at_stored
    from seqlab.inference.operating_point import Measurement, choose
    from seqlab.inference.spotting import KeywordSpotter

    if (folder / RESULT).is_file():
        found: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        return found

    def read(*names: str) -> list[Utterance]:
        paths = [folder / "data" / f"{name}.jsonl.gz" for name in names]
        return [u for path in paths if path.is_file() for u in read_manifest(path)]

    positives, near = read("dev"), read("near_dev")
    negatives = read("other_dev", "negatives_dev", "noise_dev")
    windows = {"window_s": 1.0, "hop_s": 0.1}
    model = load_model(str(folder / "run"))
    spotter = KeywordSpotter(model, DetectorSettings(), block_s=5.0, **windows)
    measured = Measurement.of(spotter, positives, negatives)
    point = choose(measured, settings["false_alarms_per_hour"], spotter, **windows)
    operating_point.save(folder / "run" / "model", point, measured)
    alarms, hours = count_alarms(spotter, sound_of(spotter, near))
    on_near = at_stored(Measurement(measured.trials, alarms, hours), point)
    rows = operating_point.figures(point, measured)
    for row in rows:
        row["near_misses_heard"] = on_near.phrases[str(row["label"])].false_alarms
    result = {"negative_hours": point.negative_hours, "near_misses": len(near), "labels": rows}
    write_atomically(folder / RESULT, (json.dumps(result, indent=1) + "\n").encode())
    return result


def export(folder: Path) -> bool:
    """Export to ``onnx``, unless it is there; False, with a note, where an extra is missing."""
    from seqlab.cli.locate import load_model
    from seqlab.data.manifest import read_manifest
    from seqlab.deploy.folder import is_export
    from seqlab.inference.operating_point import OperatingPoint

    target = folder / "onnx"
    if is_export(target):
        return True
    model = load_model(str(folder / "run"))
    point = OperatingPoint.load(folder / "run" / "model")
    spoken = read_manifest(folder / "data" / "dev.jsonl.gz")[:_CHECKED_ON]
    heard = [utterance.waveform(model.sample_rate) for utterance in spoken]
    try:
        from seqlab.export.export import export_model

        export_model(model, target, recordings=heard, operating_point=point)
    except MissingDependencyError as error:
        say(f"note: not exported: {error}; then the same command with --resume")
        return False
    return True
