"""Intermediate CTC: the losses and answers of a model, restated layer by layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seqlab.data.batch import Batch
from seqlab.encoders.mlp import MLPEncoder
from seqlab.encoders.separable import SeparableConvEncoder
from seqlab.encoders.transformer import TransformerEncoder
from seqlab.errors import ModelError, SeqlabError
from seqlab.frontend.augment import SpecAugment
from seqlab.frontend.logmel import LogMel
from seqlab.heads.classifier import ClassifierHead
from seqlab.heads.consistency import symmetric_divergence
from seqlab.heads.ctc import CTCHead
from seqlab.heads.intermediate import IntermediateCTC, Taps, check_intermediate, ctc_head
from seqlab.lengths import pad_stack
from seqlab.model import SpeechModel
from seqlab.text.tokenizers import CharacterTokenizer
from seqlab.training.objective import consistent_losses, encode_twice

RATE, BINS, WIDTH = 8000, 10, 8


def mlp() -> MLPEncoder:
    return MLPEncoder(BINS, hidden_dim=WIDTH, num_layers=4, context=2, dropout=0.0)


def transformer(**chunks: int) -> TransformerEncoder:
    settings = {"num_layers": 4, "num_heads": 2, "subsampling": 2, "dropout": 0.0}
    return TransformerEncoder(BINS, hidden_dim=WIDTH, **settings, **chunks)


def model(make_encoder: Any = mlp, **settings: Any) -> SpeechModel:
    """A recogniser with an intermediate part, unless ``layers`` is empty; no dropout."""
    torch.manual_seed(0)
    encoder = make_encoder()
    tokenizer = CharacterTokenizer().fit(["no yes"])
    head = CTCHead(encoder.output_dim, len(tokenizer))
    part = None
    if settings.setdefault("layers", (1, 3)):
        part = IntermediateCTC(encoder.output_dim, len(tokenizer), **settings)
    return SpeechModel(
        LogMel(sample_rate=RATE, n_mels=BINS), encoder, head, tokenizer, intermediate=part
    ).eval()


def noise(*lengths: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(n, generator=generator) * 0.1 for n in lengths]


def batch(*lengths: int) -> Batch:
    waveform, counts = pad_stack(noise(*lengths))
    targets = torch.tensor([[1, 2, 2, 3]] * len(lengths))
    sizes = torch.tensor([4, 3] * len(lengths))[: len(lengths)]
    return Batch(waveform, counts, targets, sizes, torch.arange(len(lengths)), ())


def ctc(log_probs: Tensor, lengths: Tensor, data: Batch) -> Tensor:
    return functional.ctc_loss(
        log_probs.transpose(0, 1), data.targets, lengths, data.target_lengths, reduction="none"
    )


def by_hand(whole: SpeechModel, data: Batch) -> tuple[list[Tensor], Tensor, Tensor]:
    """Log-probabilities after each layer of ``layers`` and at the end; with the conditioning."""
    part, linear = whole.intermediate, whole.head.linear
    between = []

    def look(number: int, x: Tensor, lengths: Tensor) -> Tensor:
        if part is None or number not in part.layers:
            return x
        posterior = linear(part.norm(x)).softmax(-1)
        between.append(posterior.log())
        if part.condition is None:
            return x
        valid = torch.arange(x.shape[1])[:, None] < lengths[:, None, None]
        return (x + posterior @ part.condition.weight.T + part.condition.bias) * valid

    features, frames = whole.features(data.waveform, data.lengths)
    encoded, lengths = whole.encoder(features, frames, look)
    return between, linear(encoded).log_softmax(-1), lengths


@pytest.mark.parametrize("make_encoder", [mlp, transformer])
@pytest.mark.parametrize("condition", [False, True])
def test_the_loss_by_hand(make_encoder: Any, condition: bool) -> None:
    data = batch(4000, 3000)
    whole = model(make_encoder, weight=0.4, self_condition=condition)
    (first, second), last, lengths = by_hand(whole, data)
    expected = 0.6 * ctc(last, lengths, data)
    expected += 0.4 * (ctc(first, lengths, data) + ctc(second, lengths, data)) / 2
    for mode in (whole.train(), whole.eval()):
        torch.testing.assert_close(mode.loss(data), expected)


@torch.no_grad()
def test_answers_are_conditioned_in_use_too() -> None:
    whole, data = model(self_condition=True), batch(4000)
    log_probs, _ = whole(data.waveform, data.lengths)
    _, expected, _ = by_hand(whole, data)
    torch.testing.assert_close(log_probs, expected)
    plain = model(layers=())
    plain.load_state_dict(whole.state_dict(), strict=False)
    assert not torch.allclose(plain(data.waveform, data.lengths)[0], expected, atol=1e-4)


@torch.no_grad()
def test_without_conditioning_answers_are_those_of_the_plain_model() -> None:
    whole, plain, data = model(), model(layers=()), batch(4000)
    plain.load_state_dict(whole.state_dict(), strict=False)
    assert whole.between() is None
    arguments = data.waveform, data.lengths
    assert torch.equal(whole(*arguments)[0], plain(*arguments)[0])


@torch.no_grad()
@pytest.mark.parametrize("make_encoder", [mlp, transformer])
def test_padding_changes_nothing(make_encoder: Any) -> None:
    whole, data = model(make_encoder, self_condition=True), batch(4000, 2600)
    log_probs, lengths = whole(data.waveform, data.lengths)
    losses = whole.loss(data)
    for row, waveform in enumerate(noise(4000, 2600)):
        alone, _ = whole(waveform[None], data.lengths[row : row + 1])
        torch.testing.assert_close(log_probs[row, : lengths[row]], alone[0], atol=1e-5, rtol=1e-5)
        one = Batch(
            waveform[None],
            *(tensor[row : row + 1] for tensor in (data.lengths, data.targets)),
            data.target_lengths[row : row + 1],
            data.seeds[row : row + 1],
            (),
        )
        torch.testing.assert_close(losses[row : row + 1], whole.loss(one))


@torch.no_grad()
@pytest.mark.parametrize("block", [1, 5, 16])
def test_a_stream_is_conditioned_as_the_whole_is(block: int) -> None:
    """Features in blocks of ``block`` frames through ``step``, the rest through ``flush``."""
    whole = model(lambda: transformer(chunk_frames=4, left_chunks=2), self_condition=True)
    features = torch.randn(1, 45, BINS, generator=torch.Generator().manual_seed(2))
    expected, _ = whole.encoder(features, torch.tensor([45]), whole.between())
    state, parts = whole.encoder.initial_state(1), []
    for start in range(0, 45, block):
        piece = features[:, start : start + block]
        encoded, state = whole.encoder.step(piece, state, whole.between())
        parts.append(encoded)
    parts.append(whole.encoder.flush(state, whole.between()))
    torch.testing.assert_close(torch.cat(parts, 1), expected, atol=1e-5, rtol=1e-5)
    unlike, _ = whole.encoder(features, torch.tensor([45]))
    assert not torch.allclose(unlike, expected, atol=1e-3)


def test_every_weight_learns() -> None:
    whole = model(self_condition=True).train()
    whole.loss(batch(4000, 3000)).sum().backward()
    for name, parameter in whole.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_with_consistency() -> None:
    """Both views' losses are mixed; the divergence is that of the answers at the end."""
    whole, data = model(weight=0.4).train(), batch(4000, 3000)
    whole.spec_augment = SpecAugment(num_time_masks=1)
    found = consistent_losses(whole, data, 0.2)
    taps = Taps(whole.intermediate, whole.head)
    encoded, lengths = encode_twice(whole, data, taps)
    log_probs = whole.head(encoded, lengths)
    views = []
    for rows in (slice(0, 2), slice(2, 4)):
        between = [ctc(each[rows], lengths[rows], data) for each in taps.log_probs]
        end = ctc(log_probs[rows], lengths[rows], data)
        views.append(0.6 * end + 0.4 * sum(between) / 2)
    expected = sum(views) / 2
    expected = expected + 0.2 * symmetric_divergence(log_probs[:2], log_probs[2:], lengths[:2])
    torch.testing.assert_close(found, expected)


def test_a_target_that_does_not_fit_is_infinite_and_spoils_nothing() -> None:
    whole = model(self_condition=True).train()
    losses = whole.loss(batch(4000, 300))
    assert losses[0].isfinite() and losses[1].isinf()
    losses[0].backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in whole.parameters())


# -- kept with the model ------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("condition", [False, True])
def test_saving_keeps_it(tmp_path: Path, condition: bool) -> None:
    whole, data = model(self_condition=condition), batch(4000)
    whole.save(tmp_path / "model")
    loaded = SpeechModel.load(tmp_path / "model")
    assert loaded.intermediate is not None and loaded.intermediate.layers == (1, 3)
    assert torch.equal(
        loaded(data.waveform, data.lengths)[0], whole(data.waveform, data.lengths)[0]
    )
    torch.testing.assert_close(loaded.loss(data), whole.loss(data))


def test_a_model_saved_before_there_was_one(tmp_path: Path) -> None:
    model(layers=()).save(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    del config["components"]["intermediate"]
    path.write_text(json.dumps(config))
    assert SpeechModel.load(tmp_path / "model").intermediate is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": [1, 4]}, r"layers=\[1, 4\] must be from 1 to 3"),
        ({"layers": []}, "must name at least one"),
        ({"layers": "all"}, "layers is 'all'"),
        ({"self_condition": True}, "larger model than|lacks the tensor intermediate.condition"),
        ({"num_classes": 7}, "filled in"),
        ({"weight": 1e9}, "above 0 and below 1"),
    ],
)
def test_hostile_folders(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    model().save(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    config["components"]["intermediate"]["init_args"] |= change
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match=message):
        SpeechModel.load(tmp_path / "model")


# -- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": ()}, "must name at least one layer"),
        ({"layers": (0, 2)}, "layers=0 must be a whole number of at least 1; layers are counted"),
        ({"layers": (3, 1)}, r"layers=\[3, 1\] must rise"),
        ({"layers": (2, 2)}, r"layers=\[2, 2\] must rise"),
        ({"layers": (2,), "weight": 0.0}, "weight=0.0 must be above 0 and below 1"),
        ({"layers": (2,), "weight": 1.0}, "weight=1.0 must be above 0"),
        ({"layers": (2,), "weight": float("nan")}, "weight=nan must be above 0"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SeqlabError, match=message):
        IntermediateCTC(4, 3, **settings)


def test_encoders_and_heads_that_do_not_fit() -> None:
    deep = TransformerEncoder(BINS, hidden_dim=WIDTH, num_layers=3, num_heads=2)
    shallow = TransformerEncoder(BINS, hidden_dim=WIDTH, num_layers=1, num_heads=2)
    layerless = SeparableConvEncoder(BINS, widths=4, kernel_sizes=[3], output_dim=WIDTH)
    head, part = CTCHead(WIDTH, 6), IntermediateCTC(WIDTH, 6, (2,))
    check_intermediate(part, deep, head)
    with pytest.raises(ModelError, match=r"\[2\] need an encoder .* TransformerEncoder has a sin"):
        check_intermediate(part, shallow, head)
    with pytest.raises(ModelError, match="SeparableConvEncoder has no layers; take another"):
        check_intermediate(part, layerless, head)
    with pytest.raises(ModelError, match=r"layers=\[2, 3\] must be from 1 to 2, below the last"):
        check_intermediate(IntermediateCTC(WIDTH, 6, (2, 3)), deep, head)
    with pytest.raises(ModelError, match="needs a CTC head, ClassifierHead is and has none"):
        check_intermediate(part, deep, ClassifierHead(WIDTH, 6))
    with pytest.raises(ModelError, match=r"num_classes=5 must equal head\.num_classes=6"):
        check_intermediate(IntermediateCTC(WIDTH, 5, (2,)), deep, head)
    with pytest.raises(ModelError, match=r"input_dim=4 must equal encoder\.output_dim=8"):
        check_intermediate(IntermediateCTC(4, 6, (2,)), deep, head)


def test_a_ctc_head_within_another_is_found() -> None:
    outer = ClassifierHead(WIDTH, 6)
    outer.inner = CTCHead(WIDTH, 6)
    assert ctc_head(outer) is outer.inner
