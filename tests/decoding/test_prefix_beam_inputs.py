"""What the prefix beam search refuses, and how it says so; hostile but legal input."""

from __future__ import annotations

import math

import pytest
import torch

from seqlab.decoding.prefix_beam import PrefixBeamDecoder
from seqlab.decoding.prefix_beam_units import TokenUnits
from seqlab.errors import SeqlabError
from seqlab.lm.ngram.model import NGramModel
from seqlab.text.tokenizers import CharacterTokenizer, LabelTokenizer, WordTokenizer
from tests.decoding.prefix_beam_reference import log_probs

CHARACTERS = TokenUnits.characters(["-", " ", "a", "b"])
SOUNDS = TokenUnits.sounds(["-", "x", "y"])
MODEL = NGramModel.estimate(["a b", "ab a"], order=2, smoothing="witten_bell")
FOREIGN = NGramModel.estimate(["X Y", "Y"], order=2, smoothing="witten_bell")


@pytest.mark.parametrize(
    ("units", "options", "message"),
    [
        (CHARACTERS, {"beam": 0}, "beam=0 must be a whole number of at least 1"),
        (CHARACTERS, {"beam": True}, "beam=True must be a whole number"),
        (CHARACTERS, {"beam_threshold": -1.0}, "beam_threshold=-1.0 must be nats of 0 or more"),
        (CHARACTERS, {"beam_threshold": math.nan}, "beam_threshold=nan must be nats"),
        (CHARACTERS, {"token_threshold": -0.1}, "token_threshold=-0.1 must be nats"),
        (CHARACTERS, {"max_tokens": 0}, "max_tokens=0 .* max_tokens=None sets no limit"),
        (CHARACTERS, {"max_delay": 0}, "max_delay=0 must be"),
        (CHARACTERS, {"n_best": 0}, "n_best=0 must be"),
        (CHARACTERS, {"n_best": 9, "beam": 8}, "n_best=9 must be at most beam=8"),
        (CHARACTERS, {"threads": 0}, "threads=0 must be"),
        (CHARACTERS, {"lm_unit": "words"}, "did you mean 'word'"),
        (CHARACTERS, {"lm_weight": -1.0}, "lm_weight=-1.0 must be a number within"),
        (CHARACTERS, {"word_bonus": math.inf}, "word_bonus=inf must be a number within"),
        (CHARACTERS, {"unknown_penalty": -2}, "unknown_penalty=-2 must be a number within"),
        (CHARACTERS, {"language_model": FOREIGN}, "spell none of the 2 words"),
        (CHARACTERS, {"language_model": FOREIGN, "lm_unit": "token"}, "knows none of the 4 tokens"),
        (CHARACTERS, {"language_model": FOREIGN, "lexicon": ["ab"]}, "none of the 1 words of the"),
        (CHARACTERS, {"lexicon": []}, "a lexicon of 0 words allows no text"),
        (CHARACTERS, {"lexicon": ["ab", 3]}, "lexicon word 3 must be a text"),
        (CHARACTERS, {"lexicon": "ab"}, "must be words or a mapping, not a text"),
        (CHARACTERS, {"lexicon": ["ab", "ac"]}, "lexicon word 'ac' cannot be spelled"),
        (CHARACTERS, {"lexicon": {"ab": "a c"}}, "'c' in the spelling 'a c' of lexicon word 'ab'"),
        (CHARACTERS, {"lexicon": {"ab": []}}, "lexicon word 'ab' has no spelling"),
        (CHARACTERS, {"lexicon": {"ab": [""]}}, "'ab' has an empty spelling"),
        (CHARACTERS, {"lexicon": {"ab": [[2, 0]]}}, "0 in the spelling"),
        (SOUNDS, {"language_model": MODEL}, "do not say where words begin"),
        (SOUNDS, {"word_bonus": 1.0}, "do not say where words begin"),
        (SOUNDS, {"lexicon": ["ab"]}, "a list of words is no lexicon for tokens"),
    ],
)
def test_options(units, options, message):
    with pytest.raises(SeqlabError, match=message) as error:
        PrefixBeamDecoder(units, 0.04, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("frame_s", [0.0, -1.0, math.nan, math.inf])
def test_frame_length(frame_s):
    with pytest.raises(SeqlabError, match=r"frame_s=.* must be above 0"):
        PrefixBeamDecoder(CHARACTERS, frame_s)


def test_units():
    with pytest.raises(SeqlabError, match="blank=7 must be one of the 2 tokens"):
        TokenUnits.words(["-", "a"], blank=7)
    with pytest.raises(SeqlabError, match=r"token 1, 'a▁b', spans two words"):
        TokenUnits.subwords(["-", "a\u2581b"])
    with pytest.raises(SeqlabError, match="LabelTokenizer has no blank"):
        PrefixBeamDecoder.for_tokenizer(LabelTokenizer(labels=["a", "b"]), 0.1)


@pytest.mark.parametrize(
    ("hotwords", "message"),
    [
        ("ab", "hotwords='ab' must be a list of phrases or a mapping"),
        (["ab", 3], "hotword 3 must be a text of one or more words"),
        (["ab", " "], "hotword ' ' holds no word"),
        (["a c"], "hotword 'a c': 'c' is not within what the model's tokens can spell"),
        ({"a": math.nan}, "the boost of hotword 'a'=nan must be a number within"),
        ({"a": "3"}, "the boost of hotword 'a'='3' must be a number"),
    ],
)
def test_hotwords(hotwords, message):
    decoder = PrefixBeamDecoder(CHARACTERS, 0.1)
    with pytest.raises(SeqlabError, match=message):
        decoder.decode(torch.zeros(1, 2, 4), torch.tensor([2]), hotwords)


def test_hotwords_need_words():
    with pytest.raises(SeqlabError, match="hotwords need a lexicon"):
        PrefixBeamDecoder(SOUNDS, 0.1).hotwords(["a"])
    with pytest.raises(SeqlabError, match="'b' is not within the lexicon"):
        PrefixBeamDecoder(SOUNDS, 0.1, lexicon={"a": "x y"}).hotwords(["a b"])
    with pytest.raises(SeqlabError, match="'b' is not within the lexicon"):
        PrefixBeamDecoder(CHARACTERS, 0.1, lexicon=["a"]).hotwords(["b"])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_frames_without_a_finite_best(bad):
    rows = log_probs(0, 5, 4)[None].repeat(2, 1, 1)
    rows[1, 3, :] = bad
    decoder = PrefixBeamDecoder(CHARACTERS, 0.1)
    with pytest.raises(SeqlabError, match="frame 3 of utterance 1 in the batch holds NaN"):
        decoder.decode(rows, torch.tensor([5, 5]))
    with pytest.raises(SeqlabError, match="frame 3 of the stream's next frames"):
        decoder.step(rows[1], decoder.initial_state())
    assert decoder.decode(rows, torch.tensor([5, 3]))[1][0].score < 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_bad_number(bad):
    rows = log_probs(0, 5, 4)[None]
    rows[0, 2, 1] = bad
    with pytest.raises(SeqlabError, match="frame 2 of utterance 0"):
        PrefixBeamDecoder(CHARACTERS, 0.1).decode(rows, torch.tensor([5]))


@pytest.mark.parametrize(
    ("rows", "lengths", "message"),
    [
        (torch.zeros(2, 3, 5), [3, 3], "end with the 4 tokens"),
        (torch.zeros(3, 4), [3], r"log_probs of shape \(3, 4\) must be"),
        (torch.zeros(1, 3, 4, dtype=torch.int64), [3], "must be floating"),
        (torch.zeros(2, 3, 4), [3], "1 lengths for 2 utterances"),
        (torch.zeros(1, 3, 4), [4], "must be within 0 and the padded length 3"),
    ],
)
def test_shapes(rows, lengths, message):
    with pytest.raises(SeqlabError, match=message):
        PrefixBeamDecoder(CHARACTERS, 0.1).decode(rows, torch.tensor(lengths))


def test_a_stream_is_one():
    decoder = PrefixBeamDecoder(CHARACTERS, 0.1)
    with pytest.raises(SeqlabError, match="a state is that of one stream"):
        decoder.step(torch.zeros(2, 3, 4), decoder.initial_state())


def test_impossible_tokens_are_never_taken():
    rows = log_probs(3, 30, 4)
    rows[:, 2] = -math.inf
    for kind in ({}, {"language_model": MODEL}):
        decoder = PrefixBeamDecoder(CHARACTERS, 0.1, n_best=9, **kind)
        for answer in decoder.decode(rows[None], torch.tensor([30]))[0]:
            assert 2 not in answer.tokens and math.isfinite(answer.score)


def test_nothing_fits_the_lexicon():
    rows = torch.full((1, 4, 4), -math.inf)
    rows[..., 2] = 0.0  # only "a", for ever
    decoder = PrefixBeamDecoder(CHARACTERS, 0.1, lexicon=["b"])
    (answer,) = decoder.decode(rows, torch.tensor([4]))[0]
    assert (answer.text, answer.score, answer.details["complete"]) == ("", -math.inf, False)


def test_an_unfinished_word_is_left_out():
    rows = torch.full((1, 6, 4), -30.0)
    for frame, token in enumerate([2, 3, 1, 3, 0, 0]):  # "ab b": no word is "b"
        rows[0, frame, token] = 0.0
    decoder = PrefixBeamDecoder(CHARACTERS, 0.1, lexicon=["ab", "ba"], beam=1)
    (answer,) = decoder.decode(rows, torch.tensor([6]))[0]
    assert answer.text == "ab" and not answer.details["complete"]


def test_no_frames():
    decoder = PrefixBeamDecoder(CHARACTERS, 0.1, language_model=MODEL, lm_weight=1.0)
    (answer,) = decoder.decode(torch.zeros(1, 0, 4), torch.tensor([0]))[0]
    assert (answer.text, answer.confidence) == ("", 0.0)
    assert answer.score == pytest.approx(MODEL.score(""))
    assert (
        PrefixBeamDecoder(CHARACTERS, 0.1).decode(torch.zeros(0, 3, 4), torch.zeros(0).long()) == []
    )


def test_extreme_numbers():
    rows = torch.full((1, 50, 4), -1e4)
    rows[0, torch.arange(50), torch.arange(50) % 4] = -5e3
    (answer,) = PrefixBeamDecoder(CHARACTERS, 0.1).decode(rows, torch.tensor([50]))[0]
    assert answer.text == " ".join(["ab"] * 12 + [""]).strip() or answer.score == -250_000.0


def test_tokenizers_say_what_their_tokens_are():
    characters = CharacterTokenizer().fit(["ab ba"])
    decoder = PrefixBeamDecoder.for_tokenizer(characters, 0.1, lexicon=["AB"])
    rows = log_probs(0, 9, len(characters))[None]
    assert set(decoder.decode(rows, torch.tensor([9]))[0][0].text.split()) <= {"ab"}
    words = WordTokenizer(unknown=True).fit(["one two"])
    model = NGramModel.estimate(["one two one", "two"], order=2, smoothing="witten_bell")
    decoder = PrefixBeamDecoder.for_tokenizer(words, 0.1, language_model=model, lm_weight=1.0)
    rows = log_probs(0, 5, len(words))[None]
    assert decoder.decode(rows, torch.tensor([5]))[0][0].details["language_model"] < 0
