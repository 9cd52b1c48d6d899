from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from seqlab.audio import load_audio, save_audio
from seqlab.data.augment import WaveformAugmenter
from seqlab.data.batch import Batch, SpeechDataset, utterance_seed
from seqlab.data.cache import AudioCache
from seqlab.data.config import AugmentConfig
from seqlab.data.loader import Loader, make_loader
from seqlab.data.manifest import Utterance, cut, from_file, write_manifest
from seqlab.data.sampling import BucketBatchSampler
from seqlab.errors import AudioError, DataError
from seqlab.text.tokenizers import CharacterTokenizer, LabelTokenizer


@pytest.fixture
def tokenizer() -> LabelTokenizer:
    return LabelTokenizer(labels=["no", "yes"])


@pytest.fixture
def augment(write_audio, tmp_path: Path) -> AugmentConfig:
    noise = from_file(write_audio("noise.wav", 0.5), "noise")
    room = from_file(write_audio("room.wav", 0.01), "room")
    write_manifest([noise], tmp_path / "noise.jsonl.gz")
    write_manifest([room], tmp_path / "room.jsonl.gz")
    return AugmentConfig(
        speeds=[0.9, 1.0, 1.1],
        noise="noise",
        reverberation="room.jsonl.gz",
        reverberation_probability=0.5,
        gain_db=(-6.0, 6.0),
        time_shift_s=0.02,
    )


def equal(one: Batch, other: Batch) -> bool:
    tensors = ("waveform", "lengths", "targets", "target_lengths", "seeds")
    return one.utterances == other.utterances and all(
        torch.equal(getattr(one, name), getattr(other, name)) for name in tensors
    )


def test_a_batch_holds_what_the_files_hold(utterances, tokenizer) -> None:
    dataset = SpeechDataset(utterances, tokenizer, 8000)
    batch = dataset.batch([(0, 2), (0, 0)])
    assert batch.lengths.tolist() == [2400, 800]
    assert batch.waveform.shape == (2, 2400) and batch.waveform.dtype == torch.float32
    assert torch.equal(batch.waveform[0], load_audio(utterances[2].path)[0])
    assert torch.equal(batch.waveform[1, :800], load_audio(utterances[0].path)[0])
    assert not batch.waveform[1, 800:].any()
    assert batch.targets.tolist() == [[1], [1]] and batch.target_lengths.tolist() == [1, 1]
    assert batch.ids == ["u2", "u0"] and batch.speakers == ["s0", "s0"]
    assert batch.references == ["yes", "yes"] and len(batch) == 2
    assert batch.seeds.dtype == torch.int64 and (batch.seeds >= 0).all()
    assert equal(batch.to("cpu"), batch)


def test_targets_of_different_lengths_are_padded(utterances) -> None:
    spoken = [
        replace(utterances[0], label=None, transcript="ab"),
        replace(utterances[1], label=None, transcript="a"),
    ]
    tokenizer = CharacterTokenizer().fit(["ab"])
    batch = SpeechDataset(spoken, tokenizer, 8000).batch([(0, 0), (0, 1)])
    assert batch.target_lengths.tolist() == [2, 1]
    assert batch.targets[0].tolist() == tokenizer.encode("ab")
    assert batch.targets[1].tolist() == [*tokenizer.encode("a"), 0]


def test_without_a_tokenizer_there_are_no_targets(utterances) -> None:
    batch = SpeechDataset(utterances, None, 8000).batch([(0, 0)])
    assert batch.targets.shape == (1, 0)


def test_the_cache_changes_nothing(utterances, tokenizer, augment, tmp_path) -> None:
    keys = [(epoch, index) for epoch in range(2) for index in range(len(utterances))]
    plain = SpeechDataset(utterances, tokenizer, 16000, augment, cache=False, root=str(tmp_path))
    cached = SpeechDataset(utterances, tokenizer, 16000, augment, root=str(tmp_path))
    for _ in range(2):
        assert equal(plain.batch(keys), cached.batch(keys))
    assert plain.cache.used == 0
    assert cached.cache.used > 0


def test_the_cache_survives_the_files(utterances, tokenizer) -> None:
    dataset = SpeechDataset(utterances, tokenizer, 8000)
    first = dataset.batch([(0, 0)])
    Path(utterances[0].path).unlink()
    assert equal(dataset.batch([(0, 0)]), first)
    first.waveform.zero_()
    assert dataset.batch([(0, 0)]).waveform.any()


@pytest.mark.parametrize("suffix", ["wav", "ogg"])
@pytest.mark.parametrize("rate", [8000, 16000])
def test_parts_of_one_file_equal_their_own_loading(tmp_path: Path, suffix: str, rate: int) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 8000).astype(np.float32)
    soundfile.write(tmp_path / f"a.{suffix}", samples, 8000)
    whole = from_file(tmp_path / f"a.{suffix}", "a")
    parts = [cut(whole, f"p{i}", i * 0.1, 0.1) for i in range(10)]
    dataset = SpeechDataset(parts, None, rate)
    for index in (3, 0, 9):
        part = parts[index]
        alone, _ = load_audio(
            part.path, start_s=part.start_s, duration_s=part.duration_s, sample_rate=rate
        )
        assert torch.equal(dataset[0, index].waveform, alone)
    uncached = SpeechDataset(parts, None, rate, cache=False)
    assert torch.equal(uncached[0, 3].waveform, dataset[0, 3].waveform)


def test_a_file_that_does_not_fit_the_cache_is_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 s of audio, room for 32: no part may cost the decoding of the whole file."""
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 8000 * 60)
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    whole = from_file(tmp_path / "a.wav", "a")
    parts = [cut(whole, f"p{i}", float(i), 1.0) for i in range(60)]
    decoded = []

    def counted(*args, **kwargs):
        result = load_audio(*args, **kwargs)
        decoded.append(len(result[0]))
        return result

    monkeypatch.setattr("seqlab.data.batch.load_audio", counted)
    dataset = SpeechDataset(parts, None, 8000, cache_mb=1)
    for index in range(60):
        assert torch.equal(
            dataset[0, index].waveform, torch.tensor(samples[index * 8000 :][:8000]).float()
        )
    assert decoded == [8000] * 60
    roomy = SpeechDataset(parts, None, 8000, cache_mb=2)
    del decoded[:]
    for index in range(60):
        dataset_part = roomy[0, index].waveform
        assert len(dataset_part) == 8000
    assert decoded == [8000 * 60]


def test_a_part_beyond_its_file_is_reported_in_its_own_turn(write_audio) -> None:
    whole = from_file(write_audio("a.wav", 1.0), "a")
    parts = [cut(whole, "good", 0.0, 0.5), replace(whole, id="bad", start_s=0.9, duration_s=0.5)]
    dataset = SpeechDataset(parts, None, 8000)
    assert len(dataset[0, 0].waveform) == 4000
    with pytest.raises(AudioError, match=r"a\.wav"):
        dataset[0, 1]


class TestAudioCache:
    def test_sixteen_bit_audio_takes_half(self) -> None:
        cache = AudioCache(100)
        exact = torch.tensor([-32768, -1, 0, 32767]) / 32768
        cache.put("a", exact)
        assert cache.used == 8
        kept = cache.get("a")
        assert kept is not None and torch.equal(kept, exact)

    def test_recordings_are_read_once(self, tmp_path: Path) -> None:
        whole = torch.arange(800) / 32768
        save_audio(tmp_path / "a.wav", whole, 8000)
        recording, cache = (
            Utterance("a", str(tmp_path / "a.wav"), 0.0, 0.1, 8000),
            AudioCache(10**4),
        )
        first = cache.read(recording, 8000, lambda length: slice(length - 3, length))
        (tmp_path / "a.wav").unlink()
        assert torch.equal(first, whole[-3:])
        assert torch.equal(
            cache.read(recording, 8000, lambda length: slice(length // 2)), whole[:400]
        )
        assert torch.equal(cache.read(recording, 8000), whole)

    def test_a_part_is_read_alone(self) -> None:
        cache = AudioCache(100)
        for name, values in {"short": [0.5, -0.25, 1 / 32768, 0.0], "float": [0.1, 0.2]}.items():
            whole = torch.tensor(values)
            cache.put(name, whole)
            part = cache.get(name, slice(1, 3))
            assert part is not None and torch.equal(part, whole[1:3])
            part += 1  # the caller's own
            again = cache.get(name)
            assert again is not None and torch.equal(again, whole)
        assert cache.get("none", slice(1, 3)) is None

    def test_other_audio_is_kept_as_it_is(self) -> None:
        cache = AudioCache(100)
        for name, values in {"fine": [0.1, 1 / 65536], "loud": [1.5, -2.0]}.items():
            cache.put(name, torch.tensor(values))
            kept = cache.get(name)
            assert kept is not None and kept.tolist() == torch.tensor(values).tolist()
        assert cache.used == 16  # four values of four bytes
        assert cache.get("none") is None

    def test_beyond_the_limit_nothing_is_kept(self) -> None:
        cache = AudioCache(10)
        cache.put("a", torch.zeros(4))
        cache.put("b", torch.zeros(4))
        assert cache.used == 8 and cache.get("b") is None
        cache.put("a", torch.zeros(4))
        assert cache.used == 8


class TestAugmentation:
    def test_it_depends_on_seed_epoch_and_id_only(
        self, utterances, tokenizer, augment, tmp_path
    ) -> None:
        def make(us: list[Utterance], seed: int = 0) -> SpeechDataset:
            return SpeechDataset(us, tokenizer, 8000, augment, seed=seed, root=str(tmp_path))

        one, reordered = make(utterances), make(utterances[::-1])
        _ = [reordered[0, i] for i in range(5)]
        assert torch.equal(one[1, 3].waveform, reordered[1, 6].waveform)
        assert one[1, 3].seed == reordered[1, 6].seed
        assert not torch.equal(one[1, 3].waveform, one[2, 3].waveform)
        assert one[1, 3].seed != one[2, 3].seed
        assert not torch.equal(one[1, 3].waveform, make(utterances, seed=1)[1, 3].waveform)

    def test_threads_change_nothing(self, utterances, augment, tmp_path) -> None:
        dataset = SpeechDataset(utterances, None, 16000, augment, root=str(tmp_path))
        keys = [(0, i) for i in range(10)]
        threads = torch.get_num_threads()
        try:
            torch.set_num_threads(3)
            three = dataset.batch(keys)
            assert torch.get_num_threads() == 3
            torch.set_num_threads(1)
            assert equal(dataset.batch(keys), three)
        finally:
            torch.set_num_threads(threads)

    def test_speeds_are_all_drawn(self, utterances) -> None:
        dataset = SpeechDataset(utterances, None, 8000, AugmentConfig(speeds=[0.5, 1.0, 2.0]))
        lengths = [len(dataset[epoch, 9].waveform) for epoch in range(60)]
        counts = [sum(abs(n - wanted) < 5 for n in lengths) for wanted in (16000, 8000, 4000)]
        assert sum(counts) == 60 and min(counts) > 8

    def test_noise_has_the_ratio_and_the_probability(self, write_audio, tmp_path) -> None:
        noise = from_file(write_audio("noise.wav", 0.1), "noise")
        write_manifest([noise], tmp_path / "noise.jsonl")
        config = AugmentConfig(noise="noise.jsonl", noise_snr_db=(10, 10), noise_probability=0.5)
        augmenter = WaveformAugmenter(config, 8000, tmp_path)
        clean = torch.sin(torch.arange(4000.0))
        noisy = [augmenter(clean, np.random.default_rng(i)) - clean for i in range(60)]
        changed = [n for n in noisy if n.any()]
        assert 15 < len(changed) < 45
        for difference in changed:
            ratio = clean.square().sum() / difference.square().sum()
            assert 10 * torch.log10(ratio) == pytest.approx(10, abs=1e-3)

    def test_every_noise_is_played_at_every_speed(self, tmp_path) -> None:
        tones = []
        for name, hertz in (("low", 300), ("high", 1000)):
            tone = torch.sin(2 * torch.pi * hertz * torch.arange(8000) / 8000)
            save_audio(tmp_path / f"{name}.wav", 0.5 * tone, 8000)
            tones.append(from_file(tmp_path / f"{name}.wav", name))
        write_manifest(tones, tmp_path / "noise.jsonl")
        config = AugmentConfig(
            noise="noise.jsonl", noise_probability=1.0, noise_speeds=[0.5, 1.0, 2.0]
        )
        augmenter = WaveformAugmenter(config, 8000, tmp_path)
        heard = []
        for number in range(60):
            noise = augmenter(torch.ones(1600), np.random.default_rng(number)) - 1
            heard.append(int(torch.fft.rfft(noise).abs()[1:].argmax() + 1) * 5)  # in Hz
        assert set(heard) == {150, 300, 600, 500, 1000, 2000}

    def test_one_setting_leaves_the_draws_of_others(self, utterances) -> None:
        louder = AugmentConfig(gain_db=(-6, 6))
        both = AugmentConfig(gain_db=(-6, 6), time_shift_s=0.01)
        one = WaveformAugmenter(louder, 8000)(torch.ones(800), np.random.default_rng(3))
        two = WaveformAugmenter(both, 8000)(torch.ones(800), np.random.default_rng(3))
        assert one.max() == two.max()

    def test_noise_fills_the_pauses(self, write_audio, tmp_path) -> None:
        noise = from_file(write_audio("noise.wav", 0.1), "noise")
        write_manifest([noise], tmp_path / "noise.jsonl")
        config = AugmentConfig(noise="noise.jsonl", noise_probability=1.0, pauses_s=(0.2, 0.1))
        augmenter = WaveformAugmenter(config, 8000, tmp_path)
        quiet = WaveformAugmenter(AugmentConfig(pauses_s=(0.2, 0.1)), 8000)
        befores, afters = [], []
        for number in range(40):
            said = quiet(torch.ones(800), np.random.default_rng(number)).nonzero()[:, 0]
            padded = augmenter(torch.ones(800), np.random.default_rng(number))
            assert len(said) == 800  # the word itself is whole
            befores.append(int(said[0]))
            afters.append(len(padded) - 1 - int(said[-1]))
            assert (padded[: befores[-1]] != 0).float().mean() > 0.9 or befores[-1] < 50
        assert max(befores) in range(1400, 1601) and min(befores) < 200
        assert max(afters) in range(700, 801) and min(afters) < 100

    def test_noise_covers_moved_edges(self) -> None:
        config = AugmentConfig(edges_s=0.1, colored_noise_snr_db=(20.0, 20.0))
        quiet = WaveformAugmenter(AugmentConfig(edges_s=0.1), 8000)
        lengths = []
        for number in range(10):
            moved = quiet(torch.ones(800), np.random.default_rng(number))
            noisy = WaveformAugmenter(config, 8000)(torch.ones(800), np.random.default_rng(number))
            assert len(noisy) == len(moved)
            assert (noisy != 0).float().mean() > 0.99
            lengths.append(int((moved == 0).sum()))
        assert max(lengths) > 400  # silence was added, and no sample of it is left

    def test_an_empty_or_missing_manifest(self, tmp_path) -> None:
        write_manifest([], tmp_path / "none.jsonl")
        with pytest.raises(DataError, match=r"augment\.noise: none\.jsonl is empty"):
            WaveformAugmenter(AugmentConfig(noise="none.jsonl"), 8000, tmp_path)
        with pytest.raises(DataError, match="is missing"):
            WaveformAugmenter(AugmentConfig(reverberation="rooms"), 8000, tmp_path)


def test_seeds_stay_what_they_are() -> None:
    # blake2b-64 of "0 NUL 0 NUL features NUL a", halved; a change would break exact resuming
    import hashlib

    digest = hashlib.blake2b(b"0\x000\x00features\x00a", digest_size=8).hexdigest()
    assert utterance_seed(0, 0, "a", "features") == int(digest, 16) // 2


class TestErrors:
    def test_two_utterances_with_one_id(self, utterances) -> None:
        with pytest.raises(DataError, match="'u0' occurs twice"):
            SpeechDataset([utterances[0], utterances[0]], None, 8000)

    def test_no_target(self, utterances, tokenizer) -> None:
        nothing = replace(utterances[0], label=None)
        with pytest.raises(DataError, match=r"u0 .* neither transcript nor label"):
            SpeechDataset([nothing], tokenizer, 8000).batch([(0, 0)])

    def test_a_label_outside_the_vocabulary(self, utterances, tokenizer) -> None:
        maybe = replace(utterances[0], label="maybe")
        with pytest.raises(DataError, match=r"utterance u0 \(.*u0\.wav\).*maybe"):
            SpeechDataset([maybe], tokenizer, 8000).batch([(0, 0)])


class TestLoader:
    def test_workers_change_nothing(self, utterances, tokenizer, augment, tmp_path) -> None:
        dataset = SpeechDataset(utterances, tokenizer, 16000, augment, root=str(tmp_path))
        sampler = BucketBatchSampler(dataset.durations, batch_size=3, seed=1)
        loader, workers = make_loader(dataset, sampler), make_loader(dataset, sampler, 2)
        for epoch, position in ((0, 0), (1, 2)):
            sampler.set_epoch(epoch)
            sampler.set_position(position)
            alone = list(loader)
            state = torch.get_rng_state()
            assert all(equal(a, b) for a, b in zip(alone, workers, strict=True))
            assert torch.equal(torch.get_rng_state(), state)
            assert len(alone) == 4 - position and len(loader) == 4
        workers.close()

    def test_an_epoch_left_early_does_not_disturb_the_next(self, utterances, tokenizer) -> None:
        dataset = SpeechDataset(utterances, tokenizer, 8000)
        sampler = BucketBatchSampler(dataset.durations, batch_size=3)
        loader = make_loader(dataset, sampler, 1)
        expected = [b.ids for b in make_loader(dataset, sampler)]
        assert next(iter(loader)).ids == expected[0]
        assert [b.ids for b in loader] == expected

    @pytest.mark.parametrize("num_workers", [0, 1])
    def test_errors_come_as_they_are(self, utterances, num_workers: int) -> None:
        Path(utterances[4].path).write_text("no audio")
        dataset = SpeechDataset(utterances, None, 8000)
        sampler = BucketBatchSampler(dataset.durations, batch_size=2, shuffle=False)
        with pytest.raises(AudioError, match=r"u4\.wav") as error:
            list(make_loader(dataset, sampler, num_workers))
        assert "\n" not in str(error.value)
        assert type(error.value) is AudioError

    def test_arguments_that_do_not_fit(self, utterances) -> None:
        dataset = SpeechDataset(utterances, None, 8000)
        sampler = BucketBatchSampler([1.0], batch_size=1)
        with pytest.raises(DataError, match="1 utterances, must be the 10"):
            Loader(dataset, sampler)
        sampler = BucketBatchSampler(dataset.durations, batch_size=1)
        with pytest.raises(DataError, match="num_workers=-1"):
            Loader(dataset, sampler, -1)
