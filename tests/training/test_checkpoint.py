"""Checkpoints: whole or absent, safe to load, and compared setting by setting."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import ModelError
from seqlab.training import checkpoint
from seqlab.training.checkpoint import (
    TrainingState,
    average_weights,
    changed_settings,
    flatten,
    load_checkpoint,
    load_safely,
    plain,
    save_atomically,
    save_checkpoint,
)


def test_round_trip(tmp_path: Path) -> None:
    content = {"format": 1, "model": {"w": torch.randn(3)}, "state": {"best": (0.1, 2.0)}}
    save_atomically(content, tmp_path / "deep" / "last.pt")
    loaded = load_safely(tmp_path / "deep" / "last.pt")
    assert torch.equal(loaded["model"]["w"], content["model"]["w"])
    assert loaded["state"] == content["state"]


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.pt"
    save_atomically({"format": 1, "step": 1}, path)

    def full_disk(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_atomically({"format": 1, "step": 2}, path)
    assert load_safely(path)["step"] == 1


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/seqlab-bomb",)


def test_a_pickle_bomb_does_not_go_off(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    torch.save({"format": 1, "model": Bomb()}, path)
    with pytest.raises(ModelError, match="cannot be read as a checkpoint"):
        load_safely(path)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelError, match="cannot be read as a checkpoint"):
        load_safely(path)
    assert not Path("/tmp/seqlab-bomb").exists()


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "directory", "missing"])
def test_damaged_files(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "last.pt"
    save_atomically({"format": 1, "model": {"w": torch.randn(300)}}, path)
    whole = path.read_bytes()
    path.unlink()
    if damage == "directory":
        path.mkdir()
    elif damage != "missing":
        path.write_bytes({"empty": b"", "cut": whole[:700], "text": b"hello"}[damage])
    with pytest.raises(ModelError, match=r"last\.pt"):
        load_safely(path)


@settings(max_examples=150)
@given(place=st.integers(0, 10**6), value=st.integers(1, 255))
def test_one_flipped_byte_is_found(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int
) -> None:
    """Weights included: torch itself would load them as they are. Only spare bytes may change."""
    path = tmp_path_factory.mktemp("flipped") / "last.pt"
    weights = torch.arange(300.0)
    save_atomically({"model": {"w": weights}}, path)
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= value
    path.write_bytes(content)
    try:
        loaded = load_safely(path)
    except ModelError as error:
        assert "cannot be read as a checkpoint" in str(error)
    else:
        assert torch.equal(loaded["model"]["w"], weights)


@pytest.mark.parametrize("missing", ["settings", "state", "seed", "data_fingerprint", "epoch"])
def test_a_checkpoint_without_a_part(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "last.pt"
    facts: dict[str, Any] = {"seed": 1, "settings": {"a": 1}, "data_fingerprint": "x"}
    state = TrainingState(step=3)
    save_checkpoint(path, model={}, optimizer={}, scaler=None, state=state, **facts)
    assert load_checkpoint(path, **facts)[1] == state
    content = load_safely(path)
    (content["state"] if missing == "epoch" else content).pop(missing)
    save_atomically(content, path)
    with pytest.raises(ModelError, match=r"last\.pt holds .* must be the checkpoint of a training"):
        load_checkpoint(path, **facts)


@pytest.mark.parametrize("content", [{"format": 2}, {"model": {}}, [1, 2]])
def test_other_formats(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(ModelError, match=r"checkpoint format .* must be 1"):
        load_safely(tmp_path / "last.pt")


def test_average_by_hand(tmp_path: Path) -> None:
    paths = []
    for number, value in enumerate([1.0, 2.0, 6.0]):
        model = {"w": torch.tensor([value]), "running_var": torch.tensor([2 * value])}
        model["num_batches_tracked"] = torch.tensor(10 * number)
        paths.append(tmp_path / f"{number}.pt")
        save_atomically({"format": 1, "model": model}, paths[-1])
    averaged = average_weights(paths)
    assert averaged["w"].tolist() == [3.0]
    assert averaged["running_var"].tolist() == [6.0]
    assert averaged["num_batches_tracked"].item() == 20
    assert averaged["w"].dtype == torch.float32


def test_changed_settings() -> None:
    before = {"a": {"b": 1, "c": [1, 2]}, "title": "x", "data": {"num_workers": 0}, "gone": None}
    after = {"a": {"b": 1, "c": [1, 3]}, "title": "y", "data": {"num_workers": 2}, "new": {}}
    assert changed_settings(before, after) == ["a.c", "gone", "new"]
    old, now = {"a": {"b": 1}}, {"a": {"b": 1, "later": 0, "other": 2}, "part": {"of": [1]}}
    defaults = {"a": {"b": 9, "later": 0, "other": 3}, "part": None, "left": 1}
    assert changed_settings(old, now, defaults) == ["a.other", "part.of"]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)  # drawing is slow on a busy machine
@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), values, max_size=4))
def test_equal_settings_have_no_changes(value: dict[str, Any]) -> None:
    assert changed_settings(value, plain(value)) == []
    assert all(not isinstance(v, dict) or not v for v in flatten(value).values())
