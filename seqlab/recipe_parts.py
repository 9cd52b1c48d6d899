"""A recipe's components: which sections there are, and their modules from their specs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from seqlab import assembly, components
from seqlab.contracts import Encoder, Frontend, Head
from seqlab.frontend.augment import SpecAugment
from seqlab.frontend.normalize import Normalizer
from seqlab.heads.intermediate import IntermediateCTC
from seqlab.text.tokenizers import Tokenizer

Spec = dict[str, Any]

COMPONENTS: dict[str, tuple[type, tuple[str, ...]]] = {  # section -> contract, wired arguments
    "text": (Tokenizer, ()),
    "frontend": (Frontend, ()),
    "normalize": (Normalizer, ("input_dim", "sample_rate", "hop_length")),
    "spec_augment": (SpecAugment, ()),
    "encoder": (Encoder, ("input_dim",)),
    "head": (Head, ("input_dim", "num_classes", "frame_s")),
    "intermediate": (IntermediateCTC, ("input_dim", "num_classes")),
}
ONE_CLASS: dict[str, type] = {"spec_augment": SpecAugment, "intermediate": IntermediateCTC}


def spec_of(section: str, content: Any) -> Any:
    """The spec of a section; of the sections that hold arguments alone, there being one class."""
    if section not in ONE_CLASS:
        return content
    cls = ONE_CLASS[section]
    return {"class_path": f"{cls.__module__}.{cls.__qualname__}", "init_args": content}


def build_parts(
    specs: Mapping[str, Spec | None],
    num_classes: int,
    seed: int,
    allow_modules: Sequence[str] = (),
    background: Sequence[int] = (),
) -> dict[str, Any]:
    """Build the modules of a model; their weights depend on ``seed`` alone.

    Args:
        specs: What each section of ``COMPONENTS`` says, None where it is left out.
        num_classes: Of the tokenizer.
        seed: Of the weights; the global random state stays as it was.
        allow_modules: Modules outside of seqlab, by full name, whose classes the caller trusts.
        background: Classes that are no keyword, for a head whose spec names none.
    """

    def make(section: str, content: Spec | None, **wired: Any) -> Any:
        if content is None:
            return None
        contract, _ = COMPONENTS[section]
        spec = spec_of(section, content)
        return components.build(spec, contract, where=section, allow_modules=allow_modules, **wired)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        frontend = make("frontend", specs["frontend"])
        encoder = make("encoder", specs["encoder"], input_dim=frontend.output_dim)
        wired = {"input_dim": encoder.output_dim, "num_classes": num_classes}
        timed = wired | {"frame_s": assembly.frame_seconds(frontend, encoder)}
        head, named = _with_background(specs["head"], background)
        return {
            "frontend": frontend,
            "encoder": encoder,
            "head": make("head", head, **timed, **named),
            "normalizer": make(
                "normalize", specs["normalize"], **assembly.normalizer_wiring(frontend)
            ),
            "spec_augment": make("spec_augment", specs["spec_augment"]),
            "intermediate": make("intermediate", specs["intermediate"], **wired),
        }


def _with_background(
    head: Spec | None, background: Sequence[int]
) -> tuple[Spec | None, dict[str, Any]]:
    """The head's spec and what is wired: where it names no background, that of the labels."""
    given = {} if head is None else head.get("init_args", {})
    if head is None or given.get("background"):
        return head, {}
    kept = {name: value for name, value in given.items() if name != "background"}
    return {**head, "init_args": kept}, {"background": list(background)}
