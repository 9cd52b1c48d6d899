"""Several heads over one encoder, trained together."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from seqlab import components
from seqlab.checks import did_you_mean
from seqlab.contracts import Head
from seqlab.errors import RecipeError, SeqlabError
from seqlab.values import shown

_WIRED = ("input_dim", "num_classes")
_DEFAULT = {
    "ctc": {"class_path": "seqlab.heads.ctc.CTCHead"},
    "attention": {"class_path": "seqlab.heads.attention_decoder.TransformerDecoderHead"},
}
_DEFAULT_WEIGHTS = {"ctc": 0.3, "attention": 0.7}


class JointHead(Head):
    """Heads by name, whose losses are added up with weights.

    Use it for CTC beside an attention decoder or a transducer: CTC teaches the encoder where
    things are said, and the other head what follows what. ``forward`` gives what the first head
    of output "frames" gives, so that the model is a CTC model for every CTC decoder; decoders
    that search another head find it by themselves.

    Args:
        input_dim: Width D of an encoded frame, at least 1.
        num_classes: Tokens, the blank included, at least 2.
        heads: Name to ``{class_path, init_args}``; ``input_dim`` and ``num_classes`` are filled
            in. One at least gives log-probabilities of frames, and none is itself joint. None:
            CTC and a Transformer decoder, "ctc" and "attention".
        weights: Name to the weight of the head's loss, above 0. None: 0.3 and 0.7 where ``heads``
            is None, else all alike with the sum 1.

    Raises:
        SeqlabError: A head or weight is refused, or they do not go together.

    Source: Watanabe et al. 2017, "Hybrid CTC/Attention Architecture for End-to-End Speech
    Recognition", equation 39.

    Example:
        >>> small = {"hidden_dim": 8, "num_layers": 1}
        >>> attention = "seqlab.heads.attention_decoder.TransformerDecoderHead"
        >>> head = JointHead(
        ...     input_dim=4,
        ...     num_classes=3,
        ...     heads={
        ...         "ctc": {"class_path": "seqlab.heads.ctc.CTCHead"},
        ...         "attention": {"class_path": attention, "init_args": small},
        ...     },
        ...     weights={"ctc": 0.3, "attention": 0.7},
        ... )
        >>> encoded, lengths = torch.zeros(1, 5, 4), torch.tensor([5])
        >>> head(encoded, lengths).shape, sorted(head.heads)
        (torch.Size([1, 5, 3]), ['attention', 'ctc'])
    """

    output: ClassVar[Literal["frames", "label", "tokens"]] = "frames"
    nested_components: ClassVar[Mapping[str, tuple[type, tuple[str, ...]]]] = {
        "heads": (Head, _WIRED)
    }

    def __init__(
        self,
        input_dim: int,
        num_classes: int,
        heads: Mapping[str, Any] | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        if heads is None:
            heads, weights = _DEFAULT, _DEFAULT_WEIGHTS if weights is None else weights
        self.input_dim = input_dim
        self.num_classes = num_classes
        self.heads = nn.ModuleDict(
            {
                _checked_name(name): _built(spec, f"heads.{name}", input_dim, num_classes)
                for name, spec in heads.items()
            }
        )
        self._parts: dict[str, Head] = dict(self.heads.items())  # type: ignore[arg-type]
        self._frames_name = self._checked_parts()
        self.weights = _checked_weights(weights, list(self._parts))
        # What is described are the heads that were built, so that a stored model keeps them.
        self.constructor_arguments |= {
            "heads": {n: components.describe(h, _WIRED) for n, h in self._parts.items()},
            "weights": dict(self.weights),
        }

    @property
    def blank(self) -> int:
        """Index of the blank, the same in all heads."""
        return int(getattr(self.heads[self._frames_name], "blank", 0))

    @property
    def length_normalized(self) -> bool:
        """Whether the loss of the head of frames is divided by the number of tokens."""
        return bool(getattr(self.heads[self._frames_name], "length_normalized", False))

    def forward(self, encoded: Tensor, lengths: Tensor) -> Tensor:
        """Log-probabilities (B, T', C) of the first head that gives them; padding is undefined."""
        log_probs: Tensor = self.heads[self._frames_name](encoded, lengths)
        return log_probs

    def loss(
        self, encoded: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor
    ) -> Tensor:
        """Weighted sum (B,) of the losses of all heads; arguments as theirs."""
        losses = self.losses(encoded, lengths, targets, target_lengths)
        return torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum(0)

    def losses(
        self, encoded: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor
    ) -> dict[str, Tensor]:
        """Loss (B,) of each head by name, without its weight."""
        return {
            name: head.loss(encoded, lengths, targets, target_lengths)
            for name, head in self._parts.items()
        }

    def _checked_parts(self) -> str:
        """Name of the first head of frames; raises SeqlabError unless the heads go together."""
        for name, head in self._parts.items():
            if head.output in ("label", "events"):
                raise SeqlabError(f"heads.{name} gives labels, which has no place beside text")
        frames = [name for name, head in self._parts.items() if head.output == "frames"]
        if not frames:
            raise SeqlabError(
                f"heads {list(self._parts)} hold none that answers every frame; add "
                "class_path: seqlab.heads.ctc.CTCHead"
            )
        blanks = {name: getattr(head, "blank", 0) for name, head in self._parts.items()}
        if len(set(blanks.values())) > 1:
            raise SeqlabError(f"the heads' blanks differ, {blanks}; leave them out")
        return frames[0]


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name.isidentifier() or hasattr(nn.ModuleDict, name):
        raise SeqlabError(f"heads: the name {shown(name)} must be a plain word, such as 'ctc'")
    return name


def _built(spec: Any, where: str, input_dim: int, num_classes: int) -> Head:
    class_path, _ = components.check_spec(spec, where)
    # A joint head in a joint head, and so on, would never end; so this comes before building.
    with contextlib.suppress(RecipeError):  # which building reports
        if issubclass(components.resolve(class_path, nn.Module), JointHead):
            raise SeqlabError(f"{where} is itself joint; name its heads here instead")
    return components.build(
        spec,
        Head,  # type: ignore[type-abstract]
        where=where,
        input_dim=input_dim,
        num_classes=num_classes,
    )


def _checked_weights(weights: Mapping[str, float] | None, names: list[str]) -> dict[str, float]:
    if weights is None:
        return dict.fromkeys(names, 1 / len(names))
    for name, weight in weights.items():
        if name not in names:
            raise SeqlabError(f"weights.{name} has no head{did_you_mean(str(name), names)}")
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 < weight < math.inf:
            raise SeqlabError(f"weights.{name}={weight!r} must be a finite number above 0")
    missing = [name for name in names if name not in weights]
    if missing:
        raise SeqlabError(f"weights lack {missing[0]!r}; give each of {names} one, or none at all")
    return {name: float(weights[name]) for name in names}
