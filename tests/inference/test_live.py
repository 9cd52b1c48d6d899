"""Live recognition equals that of the whole recording, and ends utterances at pauses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqlab.contracts import Encoder
from seqlab.decoding.greedy import GreedyCTCDecoder
from seqlab.decoding.greedy_stream import GreedyCTCStream
from seqlab.decoding.prefix_beam import PrefixBeamDecoder
from seqlab.encoders.conformer import ConformerEncoder
from seqlab.encoders.recurrent import RecurrentEncoder
from seqlab.encoders.separable import SeparableConvEncoder
from seqlab.encoders.tdnn import TDNNEncoder
from seqlab.errors import ModelError, SeqlabError
from seqlab.frontend.logmel import LogMel
from seqlab.frontend.normalize import GlobalCMVN, Normalizer, UtteranceCMVN
from seqlab.frontend.sliding_cmvn import SlidingCMVN
from seqlab.heads.ctc import CTCHead
from seqlab.heads.intermediate import IntermediateCTC
from seqlab.inference.live import Listener, LiveTranscriber, why_not_live
from seqlab.inference.live_results import live_results, pause_results
from seqlab.model import SpeechModel
from seqlab.text.tokenizers import CharacterTokenizer
from tests.inference.tones import RATE, quiet, said, talk, tone_model
from tests.test_model import classifier

TEXTS = ["ab ba c", "cab", "a b c a b c", "bb"]
PAUSES = [1.0, 1.5, 1.2, 2.5]


def encoders() -> dict[str, Encoder]:
    torch.manual_seed(0)
    return {
        "conformer": ConformerEncoder(
            16, hidden_dim=16, num_layers=2, num_heads=2, chunk_frames=4, left_chunks=2
        ),
        "lstm": RecurrentEncoder(16, hidden_dim=8, subsampling=3),
        "separable": SeparableConvEncoder(
            16, widths=8, kernel_sizes=[3], repeats=1, output_dim=6, causal=True
        ),
        "tdnn": TDNNEncoder(16, hidden_dim=16, bottleneck_dim=8, causal=True),
    }


def model(
    encoder: Encoder, normalizer: Normalizer | None = None, conditioned: bool = False
) -> SpeechModel:
    torch.manual_seed(1)
    tokenizer = CharacterTokenizer(characters=" abc")
    head = CTCHead(encoder.output_dim, len(tokenizer))
    intermediate = None
    if conditioned:
        intermediate = IntermediateCTC(encoder.output_dim, len(tokenizer), [1], self_condition=True)
    return SpeechModel(
        LogMel(sample_rate=RATE, n_mels=16), encoder, head, tokenizer, normalizer,
        intermediate=intermediate,
    ).eval()  # fmt: skip


def global_cmvn() -> GlobalCMVN:
    generator = torch.Generator().manual_seed(2)
    return GlobalCMVN(16).fit([(torch.randn(1, 50, 16, generator=generator), torch.tensor([50]))])


def heard(found: SpeechModel, sound: Tensor, cuts: list[int]) -> Tensor:
    listener = Listener(found)
    state = listener.initial_state()
    parts = []
    for begin, end in itertools.pairwise([0, *sorted(cuts), len(sound)]):
        log_probs, state = listener.step(sound[begin:end], state)
        parts.append(log_probs)
    return torch.cat([*parts, listener.flush(state)])


@pytest.mark.parametrize("name", ["conformer", "lstm", "separable", "tdnn"])
@pytest.mark.parametrize("normalizer", [None, global_cmvn(), SlidingCMVN(window=40, min_window=20)])
def test_steps_equal_the_whole(name: str, normalizer: Normalizer | None) -> None:
    found = model(encoders()[name], normalizer)
    sound = said("ab ba c")
    with torch.inference_mode():
        whole, _ = found(sound[None], torch.tensor([len(sound)]))
    for cuts in ([], [1, 300, 301, 2222, 4000], list(range(0, len(sound), 500))):
        streamed = heard(found, sound, cuts)
        torch.testing.assert_close(streamed, whole[0], rtol=1e-4, atol=1e-4)


def test_self_conditioning_streams() -> None:
    found = model(encoders()["conformer"], None, conditioned=True)
    assert found.between() is not None
    sound = said("ab ba c")
    with torch.inference_mode():
        whole, _ = found(sound[None], torch.tensor([len(sound)]))
    streamed = heard(found, sound, [777, 3000])
    torch.testing.assert_close(streamed, whole[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("beam", [None, 8])
@pytest.mark.parametrize("block", [160, 801, 100_000])
def test_the_answer_equals_that_of_the_whole(beam: int | None, block: int) -> None:
    found = tone_model()
    sound = said("abc cab a b cc aa bcb")
    decoder = None
    if beam:
        decoder = PrefixBeamDecoder.for_tokenizer(found.tokenizer, found.frame_s, beam=beam)
    live = LiveTranscriber(found, decoder)
    state, before = live.initial_state(), ""
    for part in torch.split(sound, block):
        stable, partial, state = live.step(part, state)
        assert stable.text.startswith(before)
        assert partial.text.startswith(stable.text)
        before = stable.text
    answer = live.flush(state)
    [expected] = found.transcribe([sound], RATE, decoder=decoder)
    assert answer.text == expected.text == "abc cab a b cc aa bcb"
    assert answer.token_times == expected.token_times
    assert answer.score == pytest.approx(expected.score)
    assert live.flush(state) == answer  # a state is never changed


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 30), st.integers(0, 2**31 - 1), st.lists(st.integers(0, 30), max_size=4))
def test_greedy_stream_equals_greedy(frames: int, seed: int, cuts: list[int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(frames, 3, generator=generator).log_softmax(-1)
    decode = lambda tokens: "".join("-ab"[token] for token in tokens)  # noqa: E731
    stream = GreedyCTCStream(decode, 0.04)
    state = stream.initial_state()
    for begin, end in itertools.pairwise(sorted([0, *(min(cut, frames) for cut in cuts), frames])):
        _, _, state = stream.step(rows[begin:end], state)
    [answer] = stream.flush(state)
    [[expected]] = GreedyCTCDecoder(decode, 0.04).decode(rows[None], torch.tensor([frames]))
    assert (answer.tokens, answer.token_times) == (expected.tokens, expected.token_times)
    assert answer.token_confidences == pytest.approx(expected.token_confidences)
    assert (answer.score, answer.confidence) == pytest.approx((expected.score, expected.confidence))


@pytest.mark.parametrize("mode", [live_results, pause_results])
def test_utterances_end_at_pauses(mode: object) -> None:
    sound, times = talk(TEXTS * 2, PAUSES * 2)
    found = list(mode(tone_model(), torch.split(sound, 800)))  # type: ignore[operator]
    finals = [result for result in found if result.final]
    assert [result.segment.text for result in finals] == TEXTS * 2
    for result, (start_s, end_s) in zip(finals, times, strict=True):
        assert result.segment.start_s == pytest.approx(start_s, abs=0.1)
        assert result.segment.end_s == pytest.approx(end_s, abs=0.12)
        assert 0.3 < result.latency_s < 1.5
        assert result.stable == result.segment.text
    partials = [result for result in found if not result.final]
    if mode is live_results:
        assert len(partials) > 10
        assert all(0 <= result.latency_s < 0.5 for result in partials)
        assert all(result.segment.text.startswith(result.stable) for result in partials)
    else:
        assert not partials


def test_results_come_before_the_stream_ends() -> None:
    sound, times = talk(["ab", "cab"], [1.0, 2.0])
    given_s = 0.0

    def blocks() -> Iterator[Tensor]:
        nonlocal given_s
        for part in torch.split(sound, 800):
            given_s += len(part) / RATE
            yield part

    for mode in (live_results, pause_results):
        given_s = 0.0
        first = next(result for result in mode(tone_model(), blocks()) if result.final)
        assert first.segment.text == "ab"
        assert given_s < times[0][1] + 1.3


def test_what_chunks_hold_back_is_not_lost() -> None:
    """Words whose beginning waits for a chunk when the utterance before ends."""

    class Waiting(type(tone_model().encoder)):  # type: ignore[misc]
        def initial_state(self, batch_size: int = 1) -> Tensor:
            return torch.zeros(batch_size, 0, 16)

        def step(self, features, state, between=None):
            held = torch.cat([state, features], 1)
            whole = held.shape[1] // 64 * 64
            return held[:, :whole], held[:, whole:]

        def flush(self, state, between=None):
            return state

    sound, _ = talk(["abc"] * 9, [1.0, 0.84, 0.93, 1.02, 1.11, 1.2, 1.29, 1.38, 1.47])
    found = live_results(tone_model(Waiting(16)), torch.split(sound, 800), pause_s=0.6)
    assert [r.segment.text for r in found if r.final] == ["abc"] * 9


def test_an_utterance_without_end_is_ended() -> None:
    sound = torch.cat([quiet(0.5), said("abc cab " * 10), quiet(1)])  # 9.6 s of speech
    found = [
        result.segment
        for result in live_results(tone_model(), torch.split(sound, 800), longest_s=2.0)
        if result.final
    ]
    assert len(found) >= 4
    assert "".join(segment.text for segment in found).replace(" ", "") == "abccab" * 10


@pytest.mark.parametrize("mode", [live_results, pause_results])
@pytest.mark.parametrize("sound", [torch.zeros(0), torch.zeros(7), torch.zeros(30_000), quiet(4)])
def test_silence_has_no_results(mode: object, sound: Tensor) -> None:
    assert list(mode(tone_model(), [sound])) == []  # type: ignore[operator]
    assert list(mode(tone_model(), [])) == []  # type: ignore[operator]


def test_what_cannot_stream_says_why() -> None:
    whole = ConformerEncoder(16, hidden_dim=16, num_layers=1, num_heads=2)
    cases = {
        "assign encoder.chunk_frames": model(whole),
        "causal=True": model(RecurrentEncoder(16, hidden_dim=8, bidirectional=True)),
        "GlobalCMVN": model(RecurrentEncoder(16, hidden_dim=8), UtteranceCMVN()),
        "train with CTC": classifier(),
    }
    for message, found in cases.items():
        assert message in (why_not_live(found) or "")
        with pytest.raises(ModelError, match=message):
            LiveTranscriber(found)
    whole.chunk_frames = 4
    assert why_not_live(model(whole)) is None
    for bad in ({"pause_s": 0.0}, {"longest_s": 0.5}):
        with pytest.raises(SeqlabError, match=next(iter(bad))):
            live_results(tone_model(), [], **bad)
    with pytest.raises(SeqlabError, match="no finite best token"):
        stream = GreedyCTCStream(str, 0.04)
        stream.step(torch.full((1, 3), torch.nan), stream.initial_state())
