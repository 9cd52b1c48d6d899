"""What all normalisers keep, and CMVN by its statistics."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import SeqlabError
from seqlab.frontend.normalize import GlobalCMVN, Normalizer, PeakReference, UtteranceCMVN
from seqlab.frontend.pcen import PCEN
from seqlab.frontend.sliding_cmvn import SlidingCMVN
from seqlab.frontend.speaker_cmvn import SpeakerCMVN
from seqlab.frontend.spectrum import compress
from seqlab.lengths import pad_stack


def energies(*lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(length, 6, generator=generator) * 9 + 1e-3 for length in lengths]


def fitted() -> GlobalCMVN:
    return GlobalCMVN(6).fit([pad_stack(energies(20, 30))])


def speaker(weight: float = 0.3) -> SpeakerCMVN:
    return SpeakerCMVN(6, weight).fit([pad_stack(energies(20, 30))])


NORMALIZERS = {
    "utterance": UtteranceCMVN,
    "mean only": lambda: UtteranceCMVN(variance=False),
    "variance only": lambda: UtteranceCMVN(mean=False),
    "global": fitted,
    "speaker": speaker,
    "peak": PeakReference,
    "pcen": PCEN,
    "pcen from a level": lambda: PCEN(start=1.0),
    "sliding": lambda: SlidingCMVN(window=12, min_window=5),
    "sliding centred": lambda: SlidingCMVN(window=9, center=True, variance=True),
    "pcen without bias": lambda: PCEN(bias=0.0),
}


@pytest.fixture(params=NORMALIZERS.values(), ids=NORMALIZERS.keys(), scope="module")
def normalizer(request: pytest.FixtureRequest) -> Normalizer:
    return request.param()


def test_padding_neither_counts_nor_changes(normalizer: Normalizer) -> None:
    items = energies(40, 1, 17, 0)
    batch, lengths = pad_stack(items, value=torch.nan)
    result = normalizer(batch, lengths)
    assert result.shape == batch.shape
    assert result.dtype == torch.float32
    for row, item in zip(result, items, strict=True):
        alone = normalizer(item[None], torch.tensor([len(item)]))[0]
        torch.testing.assert_close(row[: len(item)], alone, atol=1e-6, rtol=1e-6)
        assert (row[len(item) :] == 0).all()


def test_gradients_are_finite(normalizer: Normalizer) -> None:
    batch, lengths = pad_stack(energies(9, 5), value=torch.nan)
    batch[0, :3] = 0
    batch.requires_grad_()
    normalizer(batch, lengths).sum().backward()
    assert batch.grad[0].isfinite().all()
    assert (batch.grad[1, 5:] == 0).all()


def test_shapes_are_checked(normalizer: Normalizer) -> None:
    with pytest.raises(SeqlabError, match=r"must be \(B, T, F\)"):
        normalizer(torch.zeros(5, 6), torch.tensor([5]))
    with pytest.raises(SeqlabError, match="relative lengths"):
        normalizer(torch.zeros(1, 5, 6), torch.tensor([6]))


def test_utterance_statistics_equal_numpy() -> None:
    item = energies(50)[0]
    result = UtteranceCMVN()(item[None], torch.tensor([50]))[0].numpy()
    expected = (item - item.mean(0)) / item.std(0, correction=0)
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_constant_features_become_zero() -> None:
    constant = torch.full((1, 50, 3), -15.942385)
    assert (UtteranceCMVN()(constant, torch.tensor([50])).abs() < 1e-6).all()
    normalizer = GlobalCMVN(3).fit([(constant, torch.tensor([50]))])
    assert (normalizer(constant, torch.tensor([50])).abs() < 1e-5).all()


def test_global_statistics_do_not_depend_on_the_batches() -> None:
    items = [item + 1e4 for item in energies(20, 30, 7, 0, 12)]
    rows = torch.cat(items).double()
    together = GlobalCMVN(6).fit([pad_stack(items, value=torch.nan)])
    apart = GlobalCMVN(6).fit((item[None], torch.tensor([len(item)])) for item in items)
    for normalizer in (together, apart):
        torch.testing.assert_close(normalizer.mean, rows.mean(0).float())
        torch.testing.assert_close(normalizer.std, rows.std(0, correction=0).float())


def test_global_statistics_are_saved() -> None:
    first, second = fitted(), GlobalCMVN(6)
    second.load_state_dict(first.state_dict())
    batch = pad_stack(energies(8))
    assert torch.equal(first(*batch), second(*batch))


def test_global_mean_alone() -> None:
    normalizer = GlobalCMVN(6, variance=False).fit([pad_stack(energies(20, 30))])
    assert (normalizer.std == 1).all()


def test_fitting_works_in_inference_mode_and_training_goes_on() -> None:
    normalizer = GlobalCMVN(6)
    with torch.inference_mode():
        normalizer.fit([pad_stack(energies(20))])
    batch, lengths = pad_stack(energies(5))
    normalizer(batch.requires_grad_(), lengths).sum().backward()
    assert batch.grad.isfinite().all()


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(SeqlabError, match="must be fitted first; call fit"):
        GlobalCMVN(6)(torch.zeros(1, 2, 6), torch.tensor([2]))
    with pytest.raises(SeqlabError, match="0 frames to fit"):
        GlobalCMVN(6).fit([])
    with pytest.raises(SeqlabError, match="hold NaN or infinity; look for damaged recordings"):
        GlobalCMVN(1).fit([(torch.full((1, 2, 1), torch.nan), torch.tensor([2]))])
    with pytest.raises(SeqlabError, match="5 columns, must have input_dim=6"):
        fitted()(torch.zeros(1, 2, 5), torch.tensor([2]))
    with pytest.raises(SeqlabError, match="input_dim=0"):
        GlobalCMVN(0)


def test_a_speakers_weight_lies_between_utterance_and_global() -> None:
    items = [item + 1 for item in energies(17, 25)]
    batch, lengths = pad_stack(items)
    torch.testing.assert_close(speaker(0.0)(batch, lengths), UtteranceCMVN()(batch, lengths))
    torch.testing.assert_close(speaker(1.0)(batch, lengths), fitted()(batch, lengths))
    # Utterance 2 and 6 (mean 4, deviation 2), speaker 0 and 8 (mean 4, deviation 4), a quarter.
    by_hand = SpeakerCMVN(1, weight=0.25).fit([(torch.tensor([[[0.0], [8.0]]]), torch.tensor([2]))])
    found = by_hand(torch.tensor([[[2.0], [6.0]]]), torch.tensor([2])).flatten().tolist()
    assert found == pytest.approx([-2 / 2.5, 2 / 2.5])


def test_a_speaker_must_be_known() -> None:
    with pytest.raises(SeqlabError, match="no statistics of a speaker, must be fitted first"):
        SpeakerCMVN(6)(torch.zeros(1, 2, 6), torch.tensor([2]))
    with pytest.raises(SeqlabError, match=r"must be \(B, T, 6\) as in fit"):
        speaker()(torch.zeros(1, 2, 5), torch.tensor([2]))
    with pytest.raises(SeqlabError, match=r"weight=1\.5"):
        SpeakerCMVN(6, weight=1.5)


def test_a_damaged_frame_spoils_no_other(normalizer: Normalizer) -> None:
    item = energies(30)[0]
    bad = item.clone()
    bad[7] = torch.nan
    bad[20, 3] = torch.inf
    result = normalizer(bad[None], torch.tensor([30]))[0]
    others = [t for t in range(30) if t not in (7, 20)]
    assert result[7].isnan().all()
    assert not result[20, 3].isfinite()
    assert result[others].isfinite().all()


@pytest.mark.parametrize("kind", [UtteranceCMVN, PCEN])
def test_a_damaged_frame_does_not_count(kind: type[Normalizer]) -> None:
    item = energies(30)[0]
    damaged = torch.cat([item[:4], torch.full((1, 6), torch.nan), item[4:]])
    result = kind()(damaged[None], torch.tensor([31]))[0]
    alone = kind()(item[None], torch.tensor([30]))[0]
    torch.testing.assert_close(torch.cat([result[:4], result[5:]]), alone)


@settings(max_examples=15, deadline=None)
@given(
    length=st.integers(0, 60),
    chunks=st.lists(st.integers(0, 20), max_size=12),
    streams=st.integers(1, 2),
)
def test_steps_and_flush_equal_forward(
    normalizer: Normalizer, length: int, chunks: list[int], streams: int
) -> None:
    features = torch.stack([item + i for i, item in enumerate(energies(*[length] * streams))])
    if not normalizer.can_stream:
        with pytest.raises(SeqlabError, match="needs the whole utterance and cannot stream; use"):
            normalizer.initial_state()
        return
    state = normalizer.initial_state(streams)
    pieces, begin = [], 0
    for chunk in [*chunks, length]:
        piece, state = normalizer.step(features[:, begin : begin + chunk], state)
        pieces.append(piece)
        begin = min(begin + chunk, length)
    pieces.append(normalizer.flush(state))
    streamed = torch.cat([piece for piece in pieces if piece.numel()] or [features], 1)
    whole = normalizer(features, torch.full((streams,), length))
    torch.testing.assert_close(streamed, whole, atol=1e-6, rtol=1e-5)
    if isinstance(normalizer, SlidingCMVN):
        assert torch.equal(streamed, whole)


def test_streams_are_counted(normalizer: Normalizer) -> None:
    if normalizer.can_stream:
        with pytest.raises(SeqlabError, match=r"\(B, T, F\) with B=2 as in the state"):
            normalizer.step(torch.zeros(3, 5, 6), normalizer.initial_state(2))


def test_peak_reference_is_that_of_librosa() -> None:
    power = energies(40)[0].numpy()
    theirs = librosa.power_to_db(power, ref=np.max, top_db=None)
    decibels = compress(torch.from_numpy(power), "db", 1e-10)
    ours = PeakReference()(decibels[None], torch.tensor([40]))[0]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert PeakReference()(torch.full((1, 3, 2), torch.nan), torch.tensor([3])).isnan().all()
