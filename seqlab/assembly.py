"""The parts of a model: whether they fit together, and how stored ones are built again.

Stored parts are built only after a rehearsal that takes no memory, so that a damaged or hostile
configuration cannot exhaust the machine.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from seqlab import components
from seqlab.contracts import Encoder, Frontend, Head
from seqlab.errors import ModelError, SeqlabError
from seqlab.frontend.augment import SpecAugment
from seqlab.frontend.normalize import Normalizer
from seqlab.heads.intermediate import IntermediateCTC
from seqlab.saving import CONFIG_NAME, WEIGHTS_NAME, StoredModel
from seqlab.text.tokenizers import Tokenizer
from seqlab.values import shown

PARTS = (
    "frontend",
    "normalizer",
    "spec_augment",
    "encoder",
    "head",
    "intermediate",
    "tokenizer",
)
OPTIONAL = ("normalizer", "spec_augment", "intermediate")
MAX_BUFFER_ELEMENTS = 2**26  # of tables a component computes for itself and does not store
MAX_SIZE = 2**16  # of any integer argument, unless the stored weights hold more values
_STRIDE_PROBE = 5040  # frames; a multiple of every stride up to 10, and of 12, 14, 15 and 16

Module = TypeVar("Module", bound=nn.Module)


def frame_seconds(frontend: Frontend, encoder: Encoder) -> float:
    """Seconds from one encoded frame to the next; NaN if the encoder gives a single frame."""
    frames = torch.tensor([_STRIDE_PROBE, 2 * _STRIDE_PROBE])
    first, second = encoder.output_lengths(frames).tolist()
    if second == first:
        return math.nan
    stride = round(_STRIDE_PROBE / (second - first))
    return float(stride * frontend.hop_length / frontend.sample_rate)


def normalizer_wiring(frontend: Frontend) -> dict[str, int]:
    """What a normalizer may ask of the front end; it gets what its constructor takes."""
    return {
        "input_dim": frontend.output_dim,
        "sample_rate": frontend.sample_rate,
        "hop_length": frontend.hop_length,
    }


def task_of(head: Head) -> str:
    """``"transcription"`` (text), ``"classification"`` (one label) or ``"detection"`` (events)."""
    return {"label": "classification", "events": "detection"}.get(head.output, "transcription")


def check_task(head: Head, tokenizer: Tokenizer) -> None:
    """Raise ModelError unless both are for text, labels or events, and their blanks agree."""
    kinds = {"classification": "labels (LabelTokenizer)", "detection": "events (EventTokenizer)"}
    given = "transcription" if tokenizer.blank is not None else "classification"
    if tokenizer.unit == "event":
        given = "detection"
    if given != task_of(head):
        wanted = kinds.get(task_of(head), "text (with a blank)")
        raise ModelError(
            f"{type(head).__name__} needs a tokenizer of {wanted}, "
            f"{type(tokenizer).__name__} is not; change the head or the text section"
        )
    blank = getattr(head, "blank", tokenizer.blank)
    if blank != tokenizer.blank:
        raise ModelError(
            f"head.blank={blank} must be the tokenizer's blank {tokenizer.blank}; leave it out"
        )


def check_fit(frontend: Frontend, encoder: Encoder, head: Head, tokenizer: Tokenizer) -> None:
    """Raise ModelError unless each part takes what the part before it gives."""
    check_task(head, tokenizer)
    pairs = [
        ("encoder.input_dim", encoder.input_dim, "frontend.output_dim", frontend.output_dim),
        ("head.input_dim", head.input_dim, "encoder.output_dim", encoder.output_dim),
        ("head.num_classes", head.num_classes, "len(tokenizer)", len(tokenizer)),
    ]
    for name, value, other_name, other in pairs:
        if value != other:
            raise ModelError(f"{name}={value} must equal {other_name}={other}; build it with that")
    frame_s, own = frame_seconds(frontend, encoder), getattr(head, "frame_s", None)
    if own is not None and not math.isclose(own, frame_s, rel_tol=1e-6):
        raise ModelError(f"head.frame_s={own} must be the model's {frame_s} s; build it with that")


def build_parts(stored: StoredModel, allow_modules: Sequence[str]) -> dict[str, Any]:
    """Build the parts of a stored model, by the names of ``SpeechModel``'s arguments.

    Args:
        stored: The folder that is being loaded.
        allow_modules: Modules outside of seqlab whose components the caller trusts.

    Raises:
        SeqlabError: A class or argument is refused, or does not fit the stored weights.
    """
    specs = components.check_keys(stored.config.get("components"), PARTS, "components")
    facts = stored.config.get("facts", {})
    if not isinstance(facts, dict):
        raise ModelError(f"facts is {shown(facts)}, must be a mapping")

    def make(part: str, contract: type[Any], **wired: Any) -> Any:
        if specs[part] is None and part in OPTIONAL:
            return None
        build = partial(components.build, specs[part], contract, where=part, **wired)
        build = partial(build, allow_modules=allow_modules)
        check_sizes(specs[part], part, stored)
        if part == "frontend":  # it stores no weights to rehearse for
            return build()
        return build_checked(build, stored, f"{part}.", trusted=bool(allow_modules))

    frontend, tokenizer = make("frontend", Frontend), build_tokenizer(stored, allow_modules)
    normalizer = make("normalizer", Normalizer, **normalizer_wiring(frontend))
    spec_augment = make("spec_augment", SpecAugment)
    encoder = make("encoder", Encoder, input_dim=frontend.output_dim)
    sizes = {"input_dim": encoder.output_dim, "num_classes": len(tokenizer)}
    head = make("head", Head, **sizes, frame_s=frame_seconds(frontend, encoder))
    intermediate = make("intermediate", IntermediateCTC, **sizes)
    return {
        "frontend": frontend,
        "encoder": encoder,
        "head": head,
        "intermediate": intermediate,
        "tokenizer": tokenizer,
        "normalizer": normalizer,
        "spec_augment": spec_augment,
        "facts": facts,
    }


def build_tokenizer(stored: StoredModel, allow_modules: Sequence[str] = ()) -> Tokenizer:
    """Build the tokenizer of a stored model, fitted.

    Raises:
        SeqlabError: Its class or an argument is refused, or its files are damaged.
    """
    specs = components.check_keys(stored.config.get("components"), PARTS, "components")
    check_sizes(specs["tokenizer"], "tokenizer", stored)
    tokenizer: Tokenizer = components.build(
        specs["tokenizer"],
        Tokenizer,  # type: ignore[type-abstract]
        where="tokenizer",
        allow_modules=allow_modules,
    )
    tokenizer.load_state(stored.files)
    return tokenizer


def load_weights(module: nn.Module, stored: StoredModel) -> None:
    """Copy the stored tensors into ``module``, whose names and shapes must be exactly theirs."""
    check_shapes(module, stored)
    path = stored.folder / WEIGHTS_NAME
    tensors = read_tensors(stored, stored.shapes)
    expected = module.state_dict()
    for name, tensor in tensors.items():
        if tensor.is_floating_point() != expected[name].is_floating_point():
            raise ModelError(f"{path}: {name} is {tensor.dtype}, must be {expected[name].dtype}")
    module.load_state_dict(tensors)


def read_tensors(stored: StoredModel, names: Iterable[str]) -> dict[str, Tensor]:
    """Read some of the stored tensors, which must be finite.

    Raises:
        ModelError: The file is damaged, or holds values that are not finite.
    """
    path = stored.folder / WEIGHTS_NAME
    try:
        with safe_open(path, framework="pt") as file:
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ModelError(f"{path} is damaged: {error}; copy or train the model again") from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"{path}: {name} holds values that are not finite; train it again")
    return tensors


def check_shapes(module: nn.Module, stored: StoredModel, prefix: str = "") -> None:
    """Raise ModelError unless the tensors of ``module`` are the stored ones under ``prefix``."""
    path = stored.folder / WEIGHTS_NAME
    expected = {prefix + name: tuple(t.shape) for name, t in module.state_dict().items()}
    found = {name: shape for name, shape in stored.shapes.items() if name.startswith(prefix)}
    for name, shape in expected.items():
        if name not in found:
            raise ModelError(f"{path} lacks the tensor {name} that {CONFIG_NAME} asks for")
        if found[name] != shape:
            raise ModelError(
                f"{path}: {name} is {found[name]}, but {CONFIG_NAME} asks for {shape}; "
                "the two files are not of one model"
            )
    extra = sorted(found.keys() - expected.keys())
    if extra:
        raise ModelError(f"{path} holds {extra[0]}, which {CONFIG_NAME} does not ask for")


def build_checked(
    build: Callable[[], Module], stored: StoredModel, prefix: str, trusted: bool
) -> Module:
    """Build a component only after a shapes-only rehearsal has shown that the weights fit it.

    The rehearsal takes no memory for tensors, and ends as soon as the component asks for more
    than the file holds; so a damaged or hostile configuration cannot exhaust the machine.

    Args:
        build: Builds the component; called twice.
        stored: The folder that is being loaded.
        prefix: Of the component's tensors, such as ``encoder.``.
        trusted: Whether a component that cannot be rehearsed is built all the same.
    """
    try:
        with _limits(stored), torch.device("meta"):
            rehearsal: Module | None = build()
    except SeqlabError:
        if not trusted:
            raise
        rehearsal = None
    if rehearsal is not None:
        check_shapes(rehearsal, stored, prefix)
    return build()


def check_sizes(spec: Any, where: str, stored: StoredModel) -> None:
    """Raise ModelError if the integers of a spec are larger than the weights can explain.

    No size exceeds the number of stored values. A front end stores none; its tables, at most as
    large as the product of its two largest sizes, may not exceed ``MAX_BUFFER_ELEMENTS``.
    """
    arguments = spec.get("init_args") if isinstance(spec, Mapping) else None
    sizes = sorted(
        abs(value)
        for name, value in _items(arguments)
        if isinstance(value, int) and "rate" not in str(name) and "seed" not in str(name)
    )
    total = sum(math.prod(shape) for shape in stored.shapes.values())
    if sizes and sizes[-1] > max(total, MAX_SIZE):
        raise ModelError(f"{where}: the size {sizes[-1]} is larger than the whole model")
    if where == "frontend" and math.prod(sizes[-2:]) > MAX_BUFFER_ELEMENTS:
        raise ModelError(
            f"{where}: the sizes {sizes[-2:]} ask for a table of more than {MAX_BUFFER_ELEMENTS} "
            "values; the configuration is damaged"
        )


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    """Names and values of a mapping, and of all mappings within it."""
    left = [value]
    while left:
        mapping = left.pop()
        if isinstance(mapping, Mapping):
            yield from mapping.items()
            left.extend(mapping.values())


@contextlib.contextmanager
def _limits(stored: StoredModel) -> Iterator[None]:
    """Refuse, in this thread, more parameters, modules or buffers than the stored ones explain."""
    thread, left = threading.get_ident(), {"parameter": len(stored.shapes)}
    left["module"] = 1000 + 100 * len(stored.shapes)
    left["buffer"] = MAX_BUFFER_ELEMENTS

    def count(kind: str, amount: int) -> None:
        if threading.get_ident() != thread:
            return
        left[kind] -= amount
        if left[kind] < 0:
            raise ModelError(
                f"{stored.folder / CONFIG_NAME} asks for a larger model than {WEIGHTS_NAME} holds "
                f"(too many or too large: {kind}s); the two files are not of one model"
            )

    def on_parameter(_m: nn.Module, _n: str, _parameter: nn.Parameter) -> None:
        count("parameter", 1)

    def on_module(_m: nn.Module, _n: str, _child: nn.Module) -> None:
        count("module", 1)

    def on_buffer(_m: nn.Module, _n: str, buffer: Tensor | None) -> None:
        count("buffer", buffer.numel() if buffer is not None else 0)

    handles = [
        hooks.register_module_parameter_registration_hook(on_parameter),
        hooks.register_module_module_registration_hook(on_module),
        hooks.register_module_buffer_registration_hook(on_buffer),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
