"""CMVN and PCEN: by hand, against librosa, and whatever the padding."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from seqlab import LogMel
from seqlab.errors import SeqlabError
from seqlab.frontend.normalize import GlobalCMVN, Normalizer, PeakReference, UtteranceCMVN
from seqlab.frontend.pcen import PCEN
from seqlab.frontend.sliding_cmvn import SlidingCMVN
from seqlab.lengths import pad_stack


def energies(*lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(length, 6, generator=generator) * 9 + 1e-3 for length in lengths]


def fitted() -> GlobalCMVN:
    return GlobalCMVN(6).fit([pad_stack(energies(20, 30))])


NORMALIZERS = {
    "utterance": UtteranceCMVN,
    "mean only": lambda: UtteranceCMVN(variance=False),
    "variance only": lambda: UtteranceCMVN(mean=False),
    "global": fitted,
    "peak": PeakReference,
    "pcen": PCEN,
    "pcen from a level": lambda: PCEN(start=1.0),
    "sliding": lambda: SlidingCMVN(window=12, min_window=5),
    "sliding centred": lambda: SlidingCMVN(window=9, center=True, variance=True),
    "pcen without bias": lambda: PCEN(bias=0.0),
}


@pytest.fixture(params=NORMALIZERS.values(), ids=NORMALIZERS.keys())
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


def test_pcen_equals_librosa() -> None:
    mel = LogMel(compression="none", scale=1.0, n_mels=20)
    power = mel.extract(torch.randn(16000, generator=torch.Generator().manual_seed(0)) * 0.1, 16000)
    smoothing = 0.025
    options = {"b": smoothing, "gain": 0.98, "bias": 2, "power": 0.5, "eps": 1e-6}
    start = (1 - smoothing) * power.numpy().T[:, :1]  # the running mean starts at the first frame
    theirs = librosa.pcen(power.numpy().T, zi=start, **options).T
    ours = PCEN()(power[None], torch.tensor([len(power)]))[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_pcen_refuses_log_features() -> None:
    with pytest.raises(SeqlabError, match=r'at least 0; build .* compression="none"'):
        PCEN()(-torch.ones(1, 2, 3), torch.tensor([2]))


@pytest.mark.parametrize(
    "settings", [{"smoothing": 0.0}, {"gain": 2.0}, {"power": 0.0}, {"epsilon": 0.0}]
)
def test_settings_of_pcen_are_checked(settings: dict[str, float]) -> None:
    with pytest.raises(SeqlabError, match="must be a number within"):
        PCEN(**settings)
