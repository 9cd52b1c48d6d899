"""The layouts that people make themselves: class folders, tables, Kaldi data directories."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqlab.data.corpora import prepare
from seqlab.data.manifest import Utterance, read_manifest
from seqlab.errors import DataError, SeqlabError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "dest"


def splits(folder: Path) -> dict[str, list[Utterance]]:
    return {p.name.split(".")[0]: read_manifest(p) for p in folder.glob("*.jsonl.gz")}


class TestFolder:
    def test_named_splits(self, write_audio, source: Path, dest: Path) -> None:
        for split in ("training", "valid", "test"):
            write_audio(f"{split}/yes/a.wav", folder=source)
            write_audio(f"{split}/no/deep/b.flac", folder=source)
            write_audio(f"{split}/_background_noise_/c.wav", folder=source)
        (source / "test" / "yes" / "notes.txt").write_text("not audio")
        (source / ".git").mkdir()
        prepare("folder", source, dest)
        found = splits(dest)
        assert set(found) == {"train", "dev", "test"}
        assert [(u.id, u.label) for u in found["dev"]] == [
            ("valid/no/deep/b.flac", "no"),
            ("valid/yes/a.wav", "yes"),
        ]

    def test_links_are_followed_but_not_in_circles(
        self, write_audio, source: Path, dest: Path, tmp_path: Path
    ) -> None:
        write_audio("elsewhere/deep/a.wav")
        (source / "train").mkdir()
        (source / "train" / "yes").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "elsewhere" / "deep" / "back").symlink_to(tmp_path / "elsewhere")
        prepare("folder", source, dest)
        assert [u.id for u in splits(dest)["train"]] == ["train/yes/deep/a.wav"]

    def test_files_are_drawn_class_by_class(self, write_audio, source: Path, dest: Path) -> None:
        for i in range(10):
            write_audio(f"yes/{i}.wav", folder=source)
            write_audio(f"no/{i}.wav", folder=source)
        prepare("folder", source, dest, test_fraction="0.2")
        found = splits(dest)
        for split, count in {"train": 7, "dev": 1, "test": 2}.items():
            assert [u.label for u in found[split]] == ["no"] * count + ["yes"] * count
        prepare("folder", source, dest / "again", test_fraction=0.2)
        assert splits(dest / "again") == found
        prepare("folder", source, dest / "other", test_fraction=0.2, seed=1)
        assert splits(dest / "other") != found

    def test_speakers_stay_together(self, write_audio, source: Path, dest: Path) -> None:
        for i in range(20):
            for speaker in "abcde":
                write_audio(f"yes/{speaker}_{i}.wav", folder=source)
        summary = prepare(
            "folder", source, dest, speaker_pattern="^(.)_", dev_fraction=0.2, test_fraction=0.4
        )
        counts = {name: s.speakers for name, s in summary.splits.items()}
        assert counts == {"train": 2, "dev": 1, "test": 2}
        assert summary.speaker_overlap == {} and summary.warnings == []

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"speaker_pattern": "("}, "no regular expression"),
            ({"speaker_pattern": "a"}, "must have a group"),
            ({"speaker_pattern": "(z)"}, "finds no speaker in 'a'"),
            ({"dev_fraction": 0.6, "test_fraction": 0.4}, "together less than 1"),
            ({"dev_fraction": -0.1}, "must be 0 or more"),
        ],
    )
    def test_bad_options(
        self, write_audio, source: Path, dest: Path, options: dict, says: str
    ) -> None:
        write_audio("yes/a.wav", folder=source)
        with pytest.raises(DataError, match=says):
            prepare("folder", source, dest, **options)


def test_tables(write_audio, source: Path, dest: Path) -> None:
    write_audio("a.wav", folder=source)
    write_audio("b.wav", folder=source)
    lines = "path\tlabel\tspeaker\tsplit\tother\na.wav\tyes\tx\ttest\tp\nb.wav\tno\ty\ttrain\tq\n"
    (source / "manifest.tsv").write_text(lines)
    prepare("tsv", source / "manifest.tsv", dest)
    assert {name: us[0].id for name, us in splits(dest).items()} == {
        "train": "b.wav",
        "test": "a.wav",
    }
    prepare("tsv", source, dest / "other", split_column="other")
    assert set(splits(dest / "other")) == {"p", "q"}


class TestKaldi:
    def write(self, folder: Path, **files: str) -> None:
        for name, text in files.items():
            (folder / name.replace("_scp", ".scp")).write_text(text)

    def test_whole_recordings(self, write_audio, source: Path, dest: Path) -> None:
        path = write_audio("audio/a.wav")
        self.write(source, wav_scp=f"r1 {path}\n", text="r1 HELLO  THERE\n", utt2spk="r1 bob\n")
        prepare("kaldi", source, dest, split="dev")
        (u,) = splits(dest)["dev"]
        assert (u.id, u.path, u.transcript, u.speaker) == ("r1", str(path), "HELLO  THERE", "bob")

    def test_segments_in_several_directories(self, write_audio, source: Path, dest: Path) -> None:
        write_audio("audio/a.wav", 1.0, folder=source)
        for split in ("train", "test"):
            (source / split).mkdir()
            self.write(
                source / split,
                wav_scp="r1 audio/a.wav\n",
                segments="u1 r1 0.25 0.75\nu2 r1 0.5 -1\n",
                text="u1 A\nu2\n",
            )
        prepare("kaldi", source, dest, audio_root=str(source))
        first, second = splits(dest)["test"]
        assert (first.start_s, first.duration_s, first.transcript) == (0.25, 0.5, "A")
        assert (second.duration_s, second.transcript, second.speaker) == (0.5, "", None)

    @pytest.mark.parametrize("line", ["sox a.wav -t wav - |", "| tee a.wav", "touch owned|"])
    def test_commands_are_refused(
        self, source: Path, dest: Path, line: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(source)
        self.write(source, wav_scp=f"r0 {line}\n")
        with pytest.raises(DataError, match="commands are not run") as error:
            prepare("kaldi", source, dest)
        assert f"{source / 'wav.scp'}:1" in str(error.value)
        assert sorted(p.name for p in source.iterdir()) == ["wav.scp"]

    @pytest.mark.parametrize(
        ("files", "says"),
        [
            ({"wav_scp": "r1\n"}, r"wav\.scp:1: no audio file"),
            ({"wav_scp": "r1 a.ark:17\n"}, r"wav\.scp:1: .*archive"),
            ({"wav_scp": "r1 b.wav\n"}, r"wav\.scp:1: .*audio_root"),
            ({"wav_scp": "r1 a.wav\nr1 a.wav\n"}, r"wav\.scp:2: 'r1' stands in"),
            ({"wav_scp": "\n"}, r"wav\.scp: empty"),
            ({"text": "r2 HELLO\n"}, "no line for utterance 'r1'"),
            ({"segments": "u r1 0\n"}, "segments:1: 3 fields"),
            ({"segments": "u r2 0 1\n"}, "segments:1: recording 'r2'"),
            ({"segments": "u r1 0 x\n"}, "segments:1: 'x'"),
            ({"segments": "u r1 0.5 0.5\n"}, "segments:1: start"),
            ({"segments": "u r1 nan 0.5\n"}, "segments:1: 'nan'"),
            ({"segments": "u r1 0.5 5\n"}, "segments:1: .*beyond the end"),
        ],
    )
    def test_bad_files(
        self, write_audio, source: Path, dest: Path, files: dict[str, str], says: str
    ) -> None:
        write_audio("a.wav", 1.0, folder=source)
        self.write(source, **{"wav_scp": "r1 a.wav\n", **files})
        with pytest.raises(SeqlabError, match=says):
            prepare("kaldi", source, dest)
