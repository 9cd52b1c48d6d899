"""Every causal encoder in the package, found by walking it, streams as an export as it does here.

The cases are those of the contract tests, and each class with an argument ``causal`` in its default
size. A network whose stream no graph of fixed sizes holds says so by name.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.contracts import Encoder
from seqlab.errors import ModelError
from seqlab.frontend.logmel import LogMel
from seqlab.heads.ctc import CTCHead
from seqlab.inference.encoding import EncodedStream
from seqlab.model import SpeechModel
from seqlab.text.tokenizers import CharacterTokenizer
from tests.contract.discovery import implementations
from tests.contract.invariants import settled
from tests.contract.test_encoders import VARIANTS

pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from seqlab.deploy.model import ExportedModel
from seqlab.deploy.streams import ExportStream
from seqlab.export.export import export_model, made_recordings
from seqlab.export.plan import plan_stream

RATE, BANDS, BLOCK_S = 8000, 13, 0.12
COUNTS_FRAMES = {  # attention over a past that grows or is counted
    "ConformerEncoder",
    "EBranchformerEncoder",
    "KeywordTransformerEncoder",
    "TransformerEncoder",
}


def arguments(kind: type[Encoder]) -> dict[str, dict[str, Any]]:
    """Settings of a class: the defaults, those of the contract tests, and ``causal`` alone."""
    found: dict[str, dict[str, Any]] = {"default": {}, **VARIANTS.get(kind.__name__, {})}
    if "causal" in inspect.signature(kind).parameters:
        found["causal alone"] = {"causal": True}
    return found


CASES = [
    (kind, name, given_)
    for kind in implementations(Encoder)
    for name, given_ in arguments(kind).items()
]


def model_of(kind: type[Encoder], given_: dict[str, Any]) -> SpeechModel:
    torch.manual_seed(0)
    encoder = settled(kind(BANDS, **given_), BANDS)
    tokenizer = CharacterTokenizer(characters=" abc")
    head = CTCHead(encoder.output_dim, len(tokenizer))
    return SpeechModel(LogMel(sample_rate=RATE, n_mels=BANDS), encoder, head, tokenizer).eval()


def test_every_class_that_can_be_causal_is_tested_so() -> None:
    for kind in implementations(Encoder):
        if "causal" in inspect.signature(kind).parameters:
            assert kind(BANDS, causal=True).causal, kind.__name__


@pytest.mark.parametrize(("kind", "name", "given_"), CASES, ids=lambda x: getattr(x, "__name__", x))
def test_a_network_that_cannot_stream_says_so(
    kind: type[Encoder], name: str, given_: dict[str, Any]
) -> None:
    model = model_of(kind, given_)
    if model.encoder.causal and kind.__name__ not in COUNTS_FRAMES:
        plan_stream(model, BLOCK_S, 1.0)
        return
    with pytest.raises(ModelError, match=kind.__name__):
        plan_stream(model, BLOCK_S, 1.0)
    if not model.encoder.causal:
        with pytest.raises(ModelError, match=kind.__name__):
            EncodedStream(model)


def is_exported(case: tuple[type[Encoder], str, dict[str, Any]]) -> bool:
    kind, _, given_ = case
    return kind.__name__ not in COUNTS_FRAMES and kind(BANDS, **given_).causal


CAUSAL = [case for case in CASES if is_exported(case)]


@pytest.fixture(params=CAUSAL, ids=lambda case: f"{case[0].__name__}-{case[1]}", scope="module")
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A model and its export for streams."""
    kind, _, given_ = request.param
    model, folder = model_of(kind, given_), tmp_path_factory.mktemp("export") / "x"
    agreement = export_model(
        model, folder, recordings=made_recordings(RATE), offline=False, streaming=True,
        block_s=BLOCK_S,
    )  # fmt: skip
    assert agreement.stream is not None and agreement.stream <= 1e-5
    return model, ExportedModel.load(folder)


@pytest.mark.slow
def test_any_chunking_equals_offline(pair) -> None:
    model, exported = pair
    sound = made_recordings(RATE)[1][: round(1.3 * RATE)]
    with torch.inference_mode():
        encoded, counts = model.encode(sound[None], torch.tensor([len(sound)]))
        whole = model.head(encoded, counts)[0].numpy()

    @settings(max_examples=8, deadline=None, database=None)
    @given(cuts=st.lists(st.integers(0, len(sound)), max_size=8))
    def check(cuts: list[int]) -> None:
        pieces = np.split(sound.numpy(), sorted(cuts))
        stream, parts = ExportStream(exported), []
        state = stream.initial_state()
        for piece in pieces:
            found, state = stream.step(piece, state)
            parts.append(found)
        found = np.concatenate([*parts, stream.flush(state)])
        assert len(whole) - 1 <= len(found) <= len(whole)
        np.testing.assert_allclose(found, whole[: len(found)], rtol=1e-5, atol=1e-5)
        heard, stepped = EncodedStream(model), []
        state = heard.initial_state()
        for piece in pieces:
            encoded, state = heard.step(torch.from_numpy(piece), state)
            stepped.append(encoded)
        every = torch.cat([*stepped, heard.flush(state)], 1)
        with torch.inference_mode():
            said = model.head(every, torch.tensor([every.shape[1]]))[0].numpy()
        np.testing.assert_allclose(said, whole, rtol=1e-5, atol=1e-5)

    check()
