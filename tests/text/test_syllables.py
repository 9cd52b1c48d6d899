"""Syllables: words by hand, and a peer that syllabifies by the same principle."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import DataError, ModelError
from seqlab.text.lexicon import Lexicon
from seqlab.text.syllables import (
    ARPABET_VOWELS,
    SyllableTokenizer,
    english_onsets,
    learned_onsets,
    syllabify,
)
from tests.text.words import LEXICON

CONSONANTS = sorted({phone for onset in english_onsets() for phone in onset} | {"NG"})


@pytest.mark.parametrize(
    ("phones", "syllables"),
    [  # the textbook's examples of the maximum onset principle: as much as can begin a word
        ("EH K S T R AH", "EH K . S T R AH"),
        ("B UW T L EH G", "B UW T . L EH G"),  # tl begins no English word
        ("S AH B M IH T", "S AH B . M IH T"),
        ("K AH L AE P S IH NG", "K AH . L AE P . S IH NG"),
        ("M ER CH AH N D AY Z", "M ER . CH AH N . D AY Z"),
        ("AE T L AH S", "AE T . L AH S"),
        ("D IH S T R AH B Y UW T", "D IH . S T R AH . B Y UW T"),
        ("S IH NG IH NG", "S IH NG . IH NG"),  # ng begins none
        ("HH AH0 L OW1", "HH AH0 . L OW1"),
        ("AY D IY AH", "AY . D IY . AH"),
        ("K R IH S P S", "K R IH S P S"),
        ("SH", "SH"),
        ("", ""),
    ],
)
def test_by_hand(phones: str, syllables: str) -> None:
    found = " . ".join(" ".join(part) for part in syllabify(phones.split()))
    assert found == syllables


@given(st.lists(st.sampled_from(CONSONANTS + sorted(ARPABET_VOWELS)), max_size=12))
def test_one_vowel_each_and_nothing_lost(phones: list[str]) -> None:
    found = syllabify(phones)
    assert [phone for part in found for phone in part] == phones
    vowels = sum(phone in ARPABET_VOWELS for phone in phones)
    assert len(found) == (vowels or bool(phones))
    for part in found[1:]:
        onset = part[: next(i for i, phone in enumerate(part) if phone in ARPABET_VOWELS)]
        assert not onset or onset in english_onsets()


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["T", "R", "S", "N", "L", "AA", "IY", "P"]), max_size=10),
    st.lists(
        st.lists(st.sampled_from(["T", "R", "S", "N", "L", "P"]), max_size=3).map(
            lambda onset: [*onset, "AA"]
        ),
        min_size=1,
        max_size=12,
    ),
)
def test_against_nltk(phones: list[str], words: list[list[str]]) -> None:
    """nltk's legality principle: the onsets of a list of words, the longest legal one taken.

    It knows letters, so each phone is given one. It lengthens an onset as long as every shorter
    one is legal, so the list is closed under taking away the first consonant; and it cuts what
    begins no word from a word's beginning, so words begin with a vowel here.
    """
    peer = pytest.importorskip("nltk.tokenize")
    letter = dict(zip(["T", "R", "S", "N", "L", "P", "AA", "IY"], "trsnlpai", strict=True))
    onsets = {tuple(word[k:-1]) for word in words for k in range(len(word) - 1)}
    closed = ["".join(letter[p] for p in (*onset, "AA")) for onset in sorted(onsets)] or ["a"]
    theirs = peer.LegalitySyllableTokenizer(closed, vowels="ai", legal_frequency_threshold=0)
    vowels = {"AA", "IY"}
    phones = ["IY", *phones]
    hiatus = any(a in vowels and b in vowels for a, b in itertools.pairwise(phones))
    if hiatus:  # its letters cannot tell two vowels from a long one
        return
    text = "".join(letter[phone] for phone in phones)
    ours = ["".join(letter[p] for p in part) for part in syllabify(phones, onsets)]
    assert ours == theirs.tokenize(text)


def test_learned_onsets_leave_rare_ones_out() -> None:
    words = {f"w{i}": ["S T AA"] for i in range(9)} | {"tsar": ["T S AA"], "hmm": ["HH M"]}
    lexicon = Lexicon(words)
    assert learned_onsets(lexicon, min_share=0) == {("S", "T"), ("T", "S")}
    assert learned_onsets(lexicon, min_share=0.2) == {("S", "T")}


@pytest.mark.data
def test_english_onsets_are_those_of_cmudict(corpora) -> None:
    """Every onset of the table begins words of cmudict; frequent ones that it lacks are foreign."""
    lexicon = Lexicon.read(corpora / "text" / "cmudict" / "cmudict.dict.gz", stress=False)
    frequent = learned_onsets(lexicon)
    assert english_onsets() <= learned_onsets(lexicon, min_share=0)
    assert {onset for onset in english_onsets() if len(onset) == 1} <= frequent
    foreign = {" ".join(onset) for onset in frequent - english_onsets()}
    assert foreign == {"HH W", "SH L", "SH M", "SH N", "SH W", "T S"}  # what, Schmidt, tsar ...


class TestTokenizer:
    def test_tokens_and_words(self) -> None:
        tokenizer = SyllableTokenizer(lexicon=LEXICON, boundary="").fit(["nothing rises"])
        pieces = [tokenizer.tokens[i] for i in tokenizer.encode("nothing rises")]
        assert pieces == ["N_AH", "TH_IH_NG", "R_AY", "Z_AH_Z"]
        assert tokenizer.spellings("rises") == [
            tuple(map(tokenizer.tokens.index, ["R_AY", "Z_AH_Z"])),
            tuple(map(tokenizer.tokens.index, ["R_AY", "Z_IH_Z"])),
        ]

    def test_vocabulary_of_the_texts(self) -> None:
        tokenizer = SyllableTokenizer(lexicon=LEXICON, vocabulary="texts").fit(["sea"])
        assert tokenizer.tokens == ["<blank>", "|", "S_IY"]

    def test_a_list_of_onsets_travels(self) -> None:
        options = {"onsets": ["S"], "boundary": ""}
        tokenizer = SyllableTokenizer(lexicon={"asta": ["AH S T AH"]}, **options).fit(["asta"])
        assert tokenizer.tokens == ["<blank>", "AH", "AH_S_T"]
        again = SyllableTokenizer(boundary="").load_state(tokenizer.state())
        assert again.encode("asta") == tokenizer.encode("asta")

    def test_errors(self) -> None:
        with pytest.raises(DataError, match="onsets='german' must be"):
            SyllableTokenizer(onsets="german")
        with pytest.raises(DataError, match="vocabulary='all' must be"):
            SyllableTokenizer(vocabulary="all")
        state = SyllableTokenizer(lexicon=LEXICON).fit(["sea"]).state()
        for content in ({"onsets": 3}, {"onsets": [3]}, {}):
            with pytest.raises(ModelError, match=r"onsets.json is damaged"):
                SyllableTokenizer().load_state(
                    {**state, "onsets.json": json.dumps(content).encode()}
                )
