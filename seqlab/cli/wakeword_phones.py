"""What a typed wake word takes of a model that learnt phones from people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqlab.errors import DataError

RECIPE = "recipes/kws/wakeword/phones.yaml"
_ENCODER = "seqlab.encoders.cnn.mdtc.MDTCEncoder"
_HEAD = "seqlab.heads.ctc.CTCHead"
_PARTS = ("frontend", "normalizer", "encoder", "head")


def phone_sections(model: str) -> dict[str, Any]:
    """Sections of a recipe whose network stands on another's, which rests.

    All positives of a typed wake word are synthetic. A network that may change throughout can tell
    synthesisers from people, of whom it hears other speech alone; stacks that know the phones of
    both, and rest, leave it less to tell them apart by. One stack is added, which learns.

    Args:
        model: Model or run folder of a causal MDTCEncoder with a CTC head; nothing of it is run.

    Raises:
        ModelError: It is no sound model folder.
        DataError: It is another kind of model.
    """
    from seqlab.cli.locate import model_folder
    from seqlab.saving import read_model_folder

    folder = model_folder(model)
    found = read_model_folder(folder).config.get("components")
    parts = found if isinstance(found, dict) else {}
    frontend, normalizer, encoder, head = (_spec(parts, name) for name in _PARTS)
    arguments = encoder.get("init_args", {})
    stacks = arguments.get("stacks") if isinstance(arguments, dict) else None
    if encoder.get("class_path") != _ENCODER or not isinstance(stacks, int):
        raise DataError(
            f"--phones {model} has {encoder.get('class_path', 'no encoder')}, must have "
            f"{_ENCODER}, as {RECIPE} trains it"
        )
    if head.get("class_path") != _HEAD:
        raise DataError(
            f"--phones {model} has {head.get('class_path', 'no head')}, must have {_HEAD}: it must "
            f"have learnt phones, as {RECIPE} trains it"
        )
    if not arguments.get("causal"):
        raise DataError(
            f"--phones {model} looks ahead, must be causal to hear a stream; train it with "
            "--encoder.init_args.causal true"
        )
    layers = "encoder.layers"
    return {
        "frontend": frontend,
        "normalize": normalizer or None,
        "encoder": {**encoder, "init_args": {**arguments, "stacks": stacks + 1}},
        "warm_start": {
            "model": str(Path(folder).resolve()),
            "parts": [*(["normalizer"] if normalizer else []), "encoder"],
            "strict": False,
            "frozen": [
                *(f"{layers}.{place}" for place in range(3)),
                *(f"{layers}.3.stacks.{place}" for place in range(stacks)),
            ],
        },
    }


def _spec(parts: dict[str, Any], name: str) -> dict[str, Any]:
    found = parts.get(name)
    return found if isinstance(found, dict) else {}
