"""The five interfaces everything plugs into. Read this file first; it holds no implementation.

Data flows one way: waveform -> features -> encoded -> log_probs -> hypotheses.

The letters: B utterances in a batch, N samples, T feature frames, F features a frame,
T' encoded frames, D encoder width, C classes (tokens or labels), U target tokens.
Lengths are int64 counts (B,) on the tensor's device; whatever lies beyond a length is padding
and never changes a result. State goes in and comes out; nothing is remembered on ``self``.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from torch import Tensor, nn

from seqlab.values import Described

# Called after each layer of an encoder with its number from 1, the padded sequence (B, T', D) and
# lengths (B,); what it returns, of the same shape, goes on to the next layer.
Between = Callable[[int, Tensor, Tensor], Tensor]


class Frontend(Described, nn.Module, abc.ABC):
    """Waveform to features; part of the model, so training and serving cannot differ."""

    sample_rate: int
    hop_length: int
    output_dim: int

    @abc.abstractmethod
    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map waveform (B, N) in [-1, 1] , lengths (B,) to features (B, T, F), lengths (B,)."""

    @abc.abstractmethod
    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Frames (B,) that ``forward`` returns for waveforms of ``lengths`` samples (B,)."""

    @abc.abstractmethod
    def extract(self, waveform: Tensor, sample_rate: int) -> Tensor:
        """Features (T, F) of one recording (N,); raises SeqlabError if ``sample_rate`` differs."""

    @abc.abstractmethod
    def initial_state(self, batch_size: int = 1) -> Any:
        """State of ``batch_size`` streams before their first sample."""

    @abc.abstractmethod
    def step(self, waveform: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Features (B, T, F) that the next samples (B, N) complete, and the new state."""

    @abc.abstractmethod
    def flush(self, state: Any) -> Tensor:
        """The frames (B, T, F) that only the end of the stream completes."""


class Encoder(Described, nn.Module, abc.ABC):
    """Features to encoded frames. ``input_dim`` is the only required constructor argument."""

    input_dim: int
    output_dim: int
    num_layers: int = 0  # layers of width D that ``between`` is called after; 0: it never is
    causal: bool = False  # True promises: steps and ``flush`` together equal ``forward``
    lookahead: int = 0  # feature frames that a causal encoder waits for beyond an encoded frame

    @abc.abstractmethod
    def forward(
        self, features: Tensor, lengths: Tensor, between: Between | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map features (B, T, F) and lengths (B,) to encoded (B, T', D) and lengths (B,)."""

    @abc.abstractmethod
    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Encoded frames (B,) that ``forward`` returns for ``lengths`` feature frames (B,)."""

    def initial_state(self, batch_size: int = 1) -> Any:
        """State of ``batch_size`` streams before their first frame; causal encoders only."""
        raise NotImplementedError(f"{type(self).__name__} is not causal; it cannot stream")

    def step(
        self, features: Tensor, state: Any, between: Between | None = None
    ) -> tuple[Tensor, Any]:
        """Encoded (B, T', D) that the next features (B, T, F) complete, and the new state.

        After n frames it has given at least ``output_lengths(n - lookahead)`` encoded ones.
        """
        raise NotImplementedError(f"{type(self).__name__} is not causal; it cannot stream")

    def flush(self, state: Any, between: Between | None = None) -> Tensor:
        """The encoded frames (B, T', D) that only the end of the stream completes."""
        raise NotImplementedError(f"{type(self).__name__} is not causal; it cannot stream")


class Head(Described, nn.Module, abc.ABC):
    """Encoded frames to class log-probabilities, and the loss that trains them.

    The constructor takes ``input_dim`` and ``num_classes``; the rest has defaults. ``output`` says
    what ``forward`` gives: "frames" log_probs (B, T', C), as CTC; "label" log_probs (B, C), as a
    classifier; "events" log_probs (B, T', C) of classes that do not exclude each other; "tokens"
    encoded (B, T', D) as it came, for heads that say one token at a time. These have a class
    ``blank``, fed first. Later it moves on to the next frame in a ``frame_synchronous`` head (a
    transducer), and ends the text in any other.
    """

    output: ClassVar[Literal["frames", "label", "tokens", "events"]]
    frame_synchronous: ClassVar[bool] = False
    input_dim: int
    num_classes: int

    @abc.abstractmethod
    def forward(self, encoded: Tensor, lengths: Tensor) -> Tensor:
        """Natural log-probabilities (B, T', C) or (B, C), or encoded (B, T', D); see ``output``."""

    @abc.abstractmethod
    def loss(
        self, encoded: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor
    ) -> Tensor:
        """Loss of each utterance (B,), for targets (B, U) of ``target_lengths`` (B,) tokens.

        A classifier takes U = 1, a head of events class, onset and offset in milliseconds of
        each. The training loop averages over the global batch, so that the
        number of processes does not change the gradient.
        """

    def initial_state(self, encoded: Tensor, lengths: Tensor) -> Any:
        """State of one hypothesis an utterance, to which nothing has been fed; "tokens" only."""
        raise NotImplementedError(f"{type(self).__name__} does not say one token at a time")

    def advance(self, state: Any, tokens: Tensor) -> tuple[Tensor, Any]:
        """Log-probabilities (N, C) of what follows ``tokens`` (N,), and the state after them."""
        raise NotImplementedError(f"{type(self).__name__} does not say one token at a time")

    def select(self, state: Any, rows: Tensor) -> Any:
        """State of the hypotheses ``rows`` (N',); as many for each utterance, in their order."""
        raise NotImplementedError(f"{type(self).__name__} does not say one token at a time")


@dataclass(frozen=True)
class Hypothesis:
    """One answer of a decoder. Times are seconds from the start of the utterance."""

    tokens: tuple[int, ...]
    text: str
    score: float  # natural log-probability
    token_times: tuple[tuple[float, float], ...] = ()  # (start_s, end_s) of each token
    token_confidences: tuple[float, ...] = ()  # in [0, 1]
    confidence: float = 1.0  # in [0, 1], of the whole utterance
    details: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Decoder(Protocol):
    """Log-probabilities to hypotheses.

    A decoder that searches through encoded frames says ``reads = "encoded"`` and gets those.
    """

    def decode(self, log_probs: Tensor, lengths: Tensor) -> list[list[Hypothesis]]:
        """For each utterance of log_probs (B, T', C) its n-best list, best first."""
        ...


@runtime_checkable
class LanguageModel(Protocol):
    """Token by token, or whole sentences; n-gram and neural models alike. Natural logarithms."""

    def initial_state(self) -> Any:
        """State before the first token."""
        ...

    def advance(self, state: Any, token: Any) -> tuple[float, Any]:
        """Log-probability of ``token`` after ``state``, and the state that follows."""
        ...

    def score_batch(self, sentences: Sequence[Any]) -> Any:
        """Log-probability of each sentence."""
        ...
