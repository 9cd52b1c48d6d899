"""Typed phrases become a script: what synthetic voices say so that a model learns to hear them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from seqlab.errors import DataError
from seqlab.pronunciation.near_misses import Phrase, Speller, Word, near_misses, saying_of
from seqlab.text.lexicon import Lexicon
from seqlab.text.sayings import Kind, Saying

SHORTEST = 4  # phones that a phrase should have
_STRINGS = 4000  # sentences of words drawn from the lexicon
_CARRIED = 1 / 3  # share of near misses that stand among other words
_CARRIERS = (
    "{} what time is it",
    "{} turn on the light please",
    "{} how far is the station",
    "{} stop",
    "so {} tell me more",
    "excuse me {} where are you",
    "then I said {} and nothing happened",
    "did you say {} just now",
    "listen {}",
    "good morning {}",
)
_SENTENCES = (
    "the kettle is still warm if you would like some tea",
    "we missed the early train and had to wait an hour",
    "could you put the blue folder back on my desk",
    "my sister paints the kitchen every second summer",
    "it rained so hard that the garden was under water",
    "nobody told me that the meeting had been moved",
    "turn left after the bridge and look for a red door",
    "I think the battery of this phone is getting old",
    "there were seven people waiting in front of the bakery",
    "what did they decide about the house by the river",
    "please write your name and number on the list",
    "the children built a boat out of paper and string",
    "he never eats breakfast before nine on a Sunday",
    "open the window a little it is too warm in here",
    "we could walk there or take the bus from the market",
    "she has been learning to play the violin since March",
    "this soup needs more salt and a bit of pepper",
    "how much does it cost to send a parcel abroad",
    "the doctor asked me to come back next Thursday",
    "most of the snow had melted by the afternoon",
    "I would rather read a book than watch another film",
    "their new office is on the fourth floor at the back",
    "call me when you get home so that I know you are safe",
    "the museum is closed on Mondays and on holidays",
    "a large brown dog was sleeping under the table",
    "we need flour eggs milk and half a pound of butter",
    "the engineer explained why the old pump had failed",
    "that was the longest flight I have ever taken",
    "he put the keys where nobody would ever find them",
    "let us talk about the budget after lunch",
    "the music next door went on until two in the morning",
    "our neighbour grows tomatoes and beans on the roof",
    "is there anything else you want me to bring",
    "the price of oil fell again for the third week",
    "her answer was short and not very friendly",
    "I left my umbrella in the restaurant last night",
)


def check_phrases(texts: Sequence[str], lexicon: Lexicon) -> tuple[list[Phrase], list[str]]:
    """The phrases as they are said, and what a person should know about them.

    Args:
        texts: as typed.
        lexicon: in the phones of the CMU dictionary, with stress.

    Returns:
        The phrases, and notes.

    Raises:
        DataError: one is empty, cannot be said, or is heard within another.

    Example:
        >>> lexicon = Lexicon({"go": ["G OW1"], "on": ["AA1 N"], "there": ["DH EH1 R"]})
        >>> phrases, notes = check_phrases(["Go on there", "go on"], lexicon)
        Traceback (most recent call last):
        ...
        seqlab.errors.DataError: 'go on' is heard within 'go on there': ...
        >>> phrases, notes = check_phrases(["go"], lexicon)
        >>> [phrase.label for phrase in phrases], len(notes)
        (['go'], 1)
    """
    if not texts:
        raise DataError("no phrase; type at least one")
    speller = Speller(lexicon)
    phrases = [speller.phrase(text) for text in texts]
    labels = [phrase.label for phrase in phrases]
    for phrase in phrases:
        if labels.count(phrase.label) > 1:
            raise DataError(f"phrase {phrase.label!r} is there twice; leave one out")
        for other in phrases:
            if other is not phrase and speller.may_hold(other.words, [phrase]):
                raise DataError(
                    f"{phrase.label!r} is heard within {other.label!r}: the two cannot be told "
                    "apart; leave one out"
                )
    notes = [
        f"{phrase.label!r} has {len(phrase.phones)} phones: too short to be told apart from other "
        f"speech; {SHORTEST} are the least, and 8 or more are better"
        for phrase in phrases
        if len(phrase.phones) < SHORTEST
    ]
    return phrases, notes


def make_script(phrases: Sequence[Phrase], lexicon: Lexicon, seed: int = 0) -> list[Saying]:
    """What is to be said: the phrases, alone and among other words, near misses and sentences.

    Args:
        phrases: from ``check_phrases``.
        lexicon: the same.
        seed: equal ones give equal scripts.

    Returns:
        Sayings, all of different texts; a phrase is heard in those of its own alone.
    """
    rng = np.random.default_rng(seed)
    speller = Speller(lexicon)
    found: dict[str, Saying] = {}
    for phrase in phrases:
        made = [saying_of("phrase", phrase.label, phrase.words)]
        made += [_carried("carrier", made[0], carrier) for carrier in _CARRIERS]
        for near in near_misses(phrase, phrases, speller, rng):
            carrier = _CARRIERS[int(rng.integers(len(_CARRIERS)))]
            carried = rng.random() < _CARRIED
            made.append(_carried(near.kind, near, carrier) if carried else near)
        sound = [one for one in made if _sounds_right(one, phrases, speller)]
        found |= {one.text: one for one in sound if one.text not in found}
    for text in [*_SENTENCES, *_strings(lexicon, rng)]:
        if not speller.may_hold(_known(text, lexicon), phrases):
            found.setdefault(text, Saying("sentence", "", text, text))
    return list(found.values())


def _carried(kind: Kind, saying: Saying, carrier: str) -> Saying:
    transcript = carrier.format(saying.transcript) if saying.transcript else ""
    return saying._replace(kind=kind, text=carrier.format(saying.text), transcript=transcript)


def _sounds_right(saying: Saying, phrases: Sequence[Phrase], speller: Speller) -> bool:
    """Whether other words around it have not made it a phrase, or two."""
    text = saying.text
    if saying.kind in ("phrase", "carrier"):
        others: Iterable[Phrase] = (p for p in phrases if p.label != saying.label)
    else:
        others = phrases
    return not speller.may_hold(_known(text, speller.lexicon), list(others))


def _known(text: str, lexicon: Lexicon) -> list[Word]:
    """The words of a text; one that the lexicon does not know is like no other."""
    return [
        Word(word, lexicon.best(word) if word in lexicon else ("?",), word)
        for word in text.lower().split()
    ]


def _strings(lexicon: Lexicon, rng: np.random.Generator) -> list[str]:
    """Words in a row that mean nothing: they hold all phones in all surroundings."""
    words = [word for word in lexicon if word.isalpha() and len(word) > 1]
    if not words:
        return []
    lengths = rng.integers(3, 9, _STRINGS)
    return [" ".join(words[int(n)] for n in rng.integers(len(words), size=k)) for k in lengths]


__all__ = ["SHORTEST", "check_phrases", "make_script"]
