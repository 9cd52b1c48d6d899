"""Every kind of head for texts learns tones, is kept, and answers through every decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seqlab.data.manifest import read_manifest
from seqlab.decoding.attention_beam import AttentionBeamDecoder
from seqlab.decoding.rescoring import TwoPassDecoder
from seqlab.decoding.transducer_beam import TransducerBeamDecoder
from seqlab.errors import ModelError
from seqlab.model import SpeechModel
from seqlab.training.validate import evaluate

from .corpus import make_corpus, make_recipe, run

HEADS: dict[str, dict[str, Any]] = {
    "attention": {
        "class_path": "seqlab.heads.attention_decoder.TransformerDecoderHead",
        "init_args": {"hidden_dim": 32, "num_layers": 1, "dropout": 0.0},
    },
    "lstm": {
        "class_path": "seqlab.heads.lstm_decoder.LSTMDecoderHead",
        "init_args": {"hidden_dim": 32, "dropout": 0.0},
    },
    "transducer": {
        "class_path": "seqlab.heads.transducer.TransducerHead",
        "init_args": {"hidden_dim": 32, "dropout": 0.0},
    },
}
HEADS["joint"] = {
    "class_path": "seqlab.heads.joint.JointHead",
    "init_args": {
        "heads": {"ctc": {"class_path": "seqlab.heads.ctc.CTCHead"}}
        | {name: HEADS[name] for name in ("attention", "transducer")}
    },
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("tones"), "transcription", train=36, other=6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", HEADS)
def test_learns_tones(kind: str, root: Path, tmp_path: Path) -> None:
    epochs = 15 if kind in ("attention", "lstm") else 30
    recipe = make_recipe(
        root,
        head=HEADS[kind],
        spec_augment=None,
        data__batch_size=3,
        encoder__init_args__dropout=0.0,
        training__epochs=epochs,
        training__log_every_steps=20,
        training__validate_every_epochs=epochs,
    )
    run(recipe, tmp_path / "run")
    model = SpeechModel.load(tmp_path / "run" / "model")
    test = read_manifest(root / "test.jsonl.gz")
    plain = evaluate(model, test)
    assert plain.figures["character_error_rate"] < 0.2, plain.hypotheses
    decode, head = model.tokenizer.decode, model.head
    decoders: list[Any] = []
    if kind in ("attention", "lstm", "joint"):
        decoders.append(AttentionBeamDecoder(head, decode, beam_size=4))
    if kind in ("transducer", "joint"):
        decoders.append(TransducerBeamDecoder(head, decode, model.frame_s))
    if kind == "joint":
        from seqlab.decoding.greedy import GreedyCTCDecoder

        decoders.append(TwoPassDecoder(head, GreedyCTCDecoder(decode, model.frame_s)))
    for decoder in decoders:
        found = evaluate(model, test, decoder=decoder)
        assert found.figures["character_error_rate"] < 0.2, (decoder, found.hypotheses)
        answers = model.transcribe([u.path for u in test], decoder=decoder)
        assert [answer.text for answer in answers] == found.hypotheses


def test_a_classifier_has_no_decoder(tmp_path: Path) -> None:
    from seqlab.recipe import build_model, build_tokenizer

    corpus = make_corpus(tmp_path, "classification", train=3, other=3)
    recipe = make_recipe(corpus, "classification", normalize=None)
    model = build_model(recipe, build_tokenizer(recipe, ["a", "b", "c"]))
    decoder = TwoPassDecoder.__new__(TwoPassDecoder)
    with pytest.raises(ModelError, match="leave the decoder out"):
        evaluate(model, read_manifest(corpus / "dev.jsonl.gz"), decoder=decoder)
