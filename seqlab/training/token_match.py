"""Weights that belong to tokens, carried from one vocabulary to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seqlab import assembly
from seqlab.errors import SeqlabError
from seqlab.saving import StoredModel

if TYPE_CHECKING:
    from seqlab.model import SpeechModel


class TokenMatch:
    """Which dimensions of a tensor count tokens, and where each token's weights go.

    Use it to start a model from another one whose output vocabulary is not the same. A dimension
    counts tokens if it grows with ``num_classes``: a rehearsal of the part with one class more,
    without memory for its tensors, shows which do.

    Args:
        model: The new model.
        stored: The old one; its tokenizer is built when it is first needed.
    """

    def __init__(self, model: SpeechModel, stored: StoredModel) -> None:
        self._model, self._stored = model, stored
        self._old: list[str] | None = None
        self._dims: dict[str, dict[str, list[int]]] = {}
        self.used = False  # whether any weight went by token
        self.shared = 0  # tokens that both vocabularies have
        self._pairs: list[tuple[int, int]] = []

    def fits(self, part: str, name: str, own: Tensor, shape: Sequence[int]) -> bool:
        """Whether a stored tensor of ``shape`` can become ``own``, token by token."""
        if len(shape) != own.dim():
            return False
        dims = self._token_dims(part).get(name, [])
        change = self._change() if dims else 0
        return all(
            size == length + (change if dim in dims else 0)
            for dim, (size, length) in enumerate(zip(shape, own.shape, strict=True))
        )

    def placed(self, part: str, name: str, value: Tensor, own: Tensor) -> Tensor:
        """``own`` with the stored values of the tokens that both vocabularies have."""
        dims = self._token_dims(part).get(name, [])
        if not dims:
            return value
        self.used = True
        places = [self._places(d in dims, size) for d, size in enumerate(own.shape)]
        result = own.detach().clone()
        here = torch.meshgrid(*(torch.tensor(p[0]) for p in places), indexing="ij")
        there = torch.meshgrid(*(torch.tensor(p[1]) for p in places), indexing="ij")
        result[here] = value[there].to(result.dtype)
        return result

    def _places(self, counts_tokens: bool, size: int) -> tuple[list[int], list[int]]:
        """Indices into the new and the old dimension, which correspond."""
        if not counts_tokens:
            return list(range(size)), list(range(size))
        extra = range(len(self._model.tokenizer), size)  # classes that are no tokens
        pairs = [*self._pairs, *((index, index + self._change()) for index in extra)]
        return [new for new, _ in pairs], [old for _, old in pairs]

    def _change(self) -> int:
        """Tokens that the old vocabulary has more than the new one."""
        if self._old is None:
            self._old = list(assembly.build_tokenizer(self._stored).tokens)
            index = {token: number for number, token in enumerate(self._old)}
            new = list(self._model.tokenizer.tokens)
            self._pairs = [(i, index[token]) for i, token in enumerate(new) if token in index]
            self.shared = len(self._pairs)
        return len(self._old) - len(self._model.tokenizer)

    def _token_dims(self, part: str) -> dict[str, list[int]]:
        if part not in self._dims:
            self._dims[part] = _dims_of_classes(getattr(self._model, part), f"{part}.")
        return self._dims[part]


def _dims_of_classes(module: Any, prefix: str) -> dict[str, list[int]]:
    """Dimensions, by tensor name, that have one more element with one class more."""
    arguments = dict(module.constructor_arguments)
    if "num_classes" not in arguments:
        return {}
    arguments["num_classes"] += 1
    try:
        with torch.device("meta"):
            larger = type(module)(**arguments)
    except SeqlabError:  # its other arguments allow no other number of classes
        return {}
    shapes = {name: value.shape for name, value in larger.state_dict().items()}
    return {
        prefix + name: dims
        for name, value in module.state_dict().items()
        if (dims := _grown(value.shape, shapes.get(name, value.shape)))
    }


def _grown(before: Sequence[int], after: Sequence[int]) -> list[int]:
    """The dimensions that are larger by one."""
    return [d for d, (old, new) in enumerate(zip(before, after, strict=False)) if new == old + 1]
