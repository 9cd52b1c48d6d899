"""Which models become exports, in which precision, and why others do not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seqlab.contracts import Encoder
from seqlab.encoders.cnn.bc_resnet import BCResNetEncoder
from seqlab.encoders.cnn.ds_cnn import DSCNNEncoder
from seqlab.encoders.cnn.tc_resnet import TCResNetEncoder
from seqlab.encoders.residual import ResidualCNNEncoder
from seqlab.errors import ModelError, SeqlabError
from seqlab.frontend.logmel import LogMel
from seqlab.frontend.mfcc import MFCC
from seqlab.frontend.normalize import UtteranceCMVN
from seqlab.heads.classifier import ClassifierHead
from seqlab.heads.transducer import TransducerHead
from seqlab.model import SpeechModel
from tests.export.models import BANDS, RATE, causal_encoder, classifier, real_recordings, recogniser

pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from seqlab.deploy.model import ExportedModel
from seqlab.export.export import export_model, made_recordings
from seqlab.export.plan import plan_stream

ENCODERS: dict[str, Encoder] = {
    "residual": ResidualCNNEncoder(
        BANDS, (4, 6), time_strides=(1, 2), frequency_strides=(2, 2), output_dim=8
    ),
    "tc-resnet": TCResNetEncoder(BANDS, (4, 5)),
    "causal tc-resnet": TCResNetEncoder(BANDS, (4, 5), causal=True),
    "ds-cnn": DSCNNEncoder(BANDS),
    "bc-resnet": BCResNetEncoder(BANDS),
}


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("int8", [False, True])
def test_classifiers_on_real_speech(name: str, int8: bool, tmp_path: Path) -> None:
    encoder = ENCODERS[name]
    model = classifier(encoder, ClassifierHead(encoder.output_dim, 3))
    agreement = export_model(
        model, tmp_path / "x", recordings=real_recordings(30), int8=int8, window_s=0.3
    )
    assert (agreement.stream is None) == (not encoder.causal)
    furthest = max(agreement.offline or 0, agreement.stream or 0)
    assert furthest <= (0.1 if int8 else 1e-5)


@pytest.mark.slow
@pytest.mark.data
def test_recogniser_on_real_speech(tmp_path: Path) -> None:
    model, recordings = recogniser(), real_recordings(10)
    agreement = export_model(model, tmp_path / "x", recordings=recordings)
    assert agreement.offline is not None and agreement.offline <= 1e-5
    assert agreement.stream is not None and agreement.stream <= 1e-5
    exported = ExportedModel.load(tmp_path / "x")
    texts = [exported.transcribe(recording.numpy()) for recording in recordings]
    assert texts == [h.text for h in model.transcribe(recordings, RATE)]
    with pytest.raises(ModelError, match="call transcribe"):
        exported.classify(recordings[0].numpy())


@pytest.mark.slow
def test_a_difference_is_refused_and_nothing_written(tmp_path: Path) -> None:
    model = classifier(causal_encoder())
    with pytest.raises(ModelError, match="the export differs from torch"):
        export_model(
            model, tmp_path / "x", recordings=made_recordings(RATE), int8=True, tolerance=1e-9
        )
    assert not list(tmp_path.iterdir())


def changed(**parts: object) -> SpeechModel:
    model = classifier(causal_encoder())
    for name, part in parts.items():
        setattr(model, name, part)
    return model


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"normalizer": UtteranceCMVN()}, "UtteranceCMVN needs the whole utterance"),
        ({"encoder": TCResNetEncoder(BANDS)}, "TCResNetEncoder looks ahead"),
        ({"frontend": LogMel(sample_rate=RATE, n_mels=16, dither=1.0)}, "dither=1.0 of LogMel"),
        ({"frontend": MFCC(sample_rate=RATE, n_mels=20, n_mfcc=16, win_length=60, hop_length=80)},
         "win_length=60 of MFCC"),
    ],
)  # fmt: skip
def test_why_a_model_cannot_stream(parts: dict[str, object], message: str) -> None:
    with pytest.raises(SeqlabError, match=message):
        plan_stream(changed(**parts), 0.1, 1.0)


def test_why_a_model_cannot_be_exported(tmp_path: Path) -> None:
    head = TransducerHead(5, 3)
    with pytest.raises(ModelError, match="TransducerHead says one token at a time"):
        export_model(changed(head=head), tmp_path / "x", recordings=[torch.zeros(RATE)])
    with pytest.raises(ModelError, match="nothing to export"):
        export_model(changed(), tmp_path / "x", recordings=[], offline=False, streaming=False)
