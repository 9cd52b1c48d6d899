"""Events as targets: a label and two times each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

from seqlab.errors import DataError
from seqlab.events.event import Event, check_label, events_text, in_order, parse_events
from seqlab.text.base import Tokenizer, shorten
from seqlab.text.normalize import TextNormalizer
from seqlab.text.vocabulary import Vocabulary

MAX_MS = 2**31 - 1  # 24 days


class EventTokenizer(Tokenizer):
    """Three numbers an event: its label's, and onset and offset in milliseconds.

    The text is what ``seqlab.events.event.events_text`` writes, such as
    ``0.250 0.741 one; 1.000 2.500 two``. There is no blank.

    Args:
        labels: the labels in the order wanted; None learns them from the training texts, sorted.

    Example:
        >>> tokenizer = EventTokenizer().fit(["0.250 0.741 one; 1 2.5 two"])
        >>> tokenizer.encode("1 2.5 two"), tokenizer.decode([0, 250, 741])
        ([1, 1000, 2500], '0.250 0.741 one')
    """

    unit = "event"
    blank = None

    def __init__(self, *, labels: list[str] | None = None) -> None:
        super().__init__(TextNormalizer(case="keep"))
        self.labels = labels
        if labels is not None:
            for label in labels:
                check_label(label)
            self._vocabulary = Vocabulary(labels)

    def fit(self, texts: Iterable[str]) -> Self:
        """Learn the labels, or check them against those given."""
        found = {event.label for text in texts for event in self._events(text)}
        if self.labels is None:
            if not found:
                raise DataError("the training texts hold no events; are there labels and times?")
            self._vocabulary = Vocabulary(sorted(found))
            return self
        for label in sorted(found):
            self._index(label)
        return self

    def encode(self, text: str) -> list[int]:
        """Label, onset and offset in ms of each event (3 * events,), by onset."""
        tokens: list[int] = []
        for event in self._events(text):
            onset_ms = round(1000 * event.onset_s)
            offset_ms = max(round(1000 * event.offset_s), onset_ms + 1)
            if offset_ms > MAX_MS:
                raise DataError(f"{shorten(text)}: {event.offset_s} s is too late; cut the audio")
            tokens += [self._index(event.label), onset_ms, offset_ms]
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """The events as text."""
        if len(tokens) % 3:
            raise DataError(f"{len(tokens)} tokens are no events; pass 3 numbers for each")
        triples = zip(tokens[::3], tokens[1::3], tokens[2::3], strict=True)
        return events_text(
            Event(self.vocabulary[int(label)], onset / 1000, offset / 1000)
            for label, onset, offset in triples
        )

    def _events(self, text: str) -> list[Event]:
        return in_order(parse_events(self.normalize(text)))

    def _index(self, label: str) -> int:
        try:
            return self.vocabulary.index(label)
        except DataError as error:
            raise DataError(f"event {error}") from None
