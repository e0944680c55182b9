"""Word folders of WAV files: what is read, resampled and split; what is refused, in one line."""

import re
import struct

import numpy as np
import pytest
from scipy.io import wavfile
from support.spoken import RATE_HZ, tone, write_spoken

from hwkd.core.errors import ConfigError, DataError
from hwkd.core.reading import Reading
from hwkd.tasks.keyword import KeywordTask
from hwkd.tasks.wav import at_rate, of_length, read_wav

TASK = KeywordTask()
CLIP = Reading(window_s=0.4)


@pytest.mark.parametrize(
    "convert",
    [
        lambda wave: (wave * 32767).astype(np.int16),
        lambda wave: (wave * 2**31).astype(np.int32),
        lambda wave: wave.astype(np.float32),
        lambda wave: (wave * 127 + 128).astype(np.uint8),
        lambda wave: np.stack([wave * 2, np.zeros_like(wave)], axis=1).astype(np.float32),
    ],
    ids=["16 bits", "32 bits", "float", "8 bits", "stereo"],
)
def test_every_kind_of_sample_is_the_same_sound(convert, tmp_path):
    wave = tone(300.0)
    wavfile.write(tmp_path / "a.wav", RATE_HZ, convert(wave))
    found = read_wav(tmp_path / "a.wav")
    assert found.samples.dtype == np.int16
    assert found.rate_hz == RATE_HZ
    assert np.abs(found.samples / 32768 - wave).max() < 0.02


def test_24_bits_are_read(tmp_path):
    wave = (tone(300.0) * 2**23).astype(np.int32)
    body = b"".join(struct.pack("<i", value)[:3] for value in wave)
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(body), b"WAVE", b"fmt ", 16, 1, 1,
                       RATE_HZ, 3 * RATE_HZ, 3, 24, b"data", len(body))  # fmt: skip
    (tmp_path / "a.wav").write_bytes(head + body)
    assert np.abs(read_wav(tmp_path / "a.wav").samples - wave / 256).max() <= 1


def test_another_rate_keeps_the_tone(tmp_path):
    wavfile.write(tmp_path / "a.wav", 44100, tone(1500.0, rate_hz=44100).astype(np.float32))
    found = at_rate(read_wav(tmp_path / "a.wav"), 16000).astype(float)
    peak = np.abs(np.fft.rfft(found)).argmax() * 16000 / len(found)
    assert peak == pytest.approx(1500, abs=5)
    assert len(found) == pytest.approx(0.4 * 16000, abs=1)


def test_a_clip_is_cut_or_padded_around_its_middle():
    assert of_length(np.arange(10, dtype=np.int16), 4).tolist() == [3, 4, 5, 6]
    assert of_length(np.array([5, 6], np.int16), 5).tolist() == [0, 5, 6, 0, 0]


def test_lists_name_splits_and_words_that_are_not_asked_for_are_unknown(tmp_path):
    folder = write_spoken(tmp_path / "set", clips=12)
    tested = [f"{word}/{n}.wav" for word in ("low", "high", "none") for n in range(3)]
    judged = [f"{word}/{n}.wav" for word in ("low", "high", "none") for n in range(3, 6)]
    (folder / "testing_list.txt").write_text("\n".join(tested) + "\n")
    (folder / "validation_list.txt").write_text("\n".join(judged) + "\n")
    data = TASK.data(folder, CLIP)
    assert data.class_names == ("high", "low", "none")
    assert [len(data.split(n)) for n in ("train", "validation", "test")] == [18, 9, 9]
    some = TASK.data(folder, CLIP.model_copy(update={"words": ("low", "high")}))
    assert some.class_names == ("low", "high", "unknown", "silence")
    assert some.class_counts["train"] == (6, 6, 6, 6)
    assert some.class_counts["test"] == (3, 3, 3, 3)
    # Who evaluates is told of what is judged, too: of two unknown words half the clips.
    one = CLIP.model_copy(update={"words": ("low",)})
    to_judge = TASK.labelled(folder, one, raw_shape=data.pipeline.raw_shape)
    assert any(
        "are the class 'unknown', as many as a word has on average; the other 12 are left out"
        in note
        for note in to_judge.notes
    )


@pytest.mark.parametrize(
    ("features", "nature"),
    [
        ("log-mel", "speech"),
        ("log-mel:pcen=yes,picture=yes", "speech"),
        ("log-mel:delta=yes", "spectra"),
        ("mfcc", "spectra"),
        ("raw", "values"),
    ],
)
def test_speech_is_varied_as_voices_where_features_are_filters_over_time(
    features, nature, tmp_path
):
    folder = write_spoken(tmp_path / "set", clips=6, noise=False)
    data = TASK.data(folder, CLIP.model_copy(update={"features": features}))
    assert {data.split(name).nature for name in ("train", "validation", "test")} == {nature}


def damaged(folder, name, content):
    (folder / "low" / name).write_bytes(content)
    return folder


def whole(folder):
    return (folder / "low" / "0.wav").read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cut.wav", lambda w: w[:-500], "low/cut.wav: is damaged or cut off"),
        ("empty.wav", lambda w: b"", "low/empty.wav: no WAV file of plain samples"),
        ("none.wav", lambda w: w[:4] + struct.pack("<I", 36) + w[8:40] + bytes(4),
         "low/none.wav: holds no samples"),
        ("law.wav", lambda w: w[:20] + struct.pack("<H", 7) + w[22:], "law.wav: no WAV file"),
        ("song.wav", lambda w: b"ID3" + w, "low/song.wav: no WAV file of plain samples"),
        ("song.mp3", lambda w: b"ID3", "low/song.mp3: is .mp3; convert it to WAV"),
        ("clip.txt", lambda w: w, "low/clip.txt: is a WAV file by its content; call it clip.wav"),
        ("r\u00e4te.wav", lambda w: w[:24] + struct.pack("<II", 9000, 18000) + w[32:],
         "say the rate that all are brought to, as --rate 16kHz"),
        ("pipe.wav", lambda w: w[:4] + b"\xff" * 4 + w[8:40] + b"\xff" * 4 + w[44:],
         "low/pipe.wav: was written as a stream, so its header lacks the length"),
        ("long.wav", lambda w: w[:24] + struct.pack("<II", 0, 0) + w[32:], "long.wav: "),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_one_line(name, content, message, tmp_path):
    folder = write_spoken(tmp_path / "set", clips=3, noise=False)
    damaged(folder, name, content(whole(folder)))
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        TASK.data(folder, CLIP)
    assert "\n" not in str(caught.value)


def test_what_programs_write_beside_the_samples_is_passed_over(tmp_path):
    wavfile.write(tmp_path / "a.wav", RATE_HZ, (tone(300.0) * 32767).astype(np.int16))
    plain, content = read_wav(tmp_path / "a.wav"), (tmp_path / "a.wav").read_bytes()
    peak = struct.pack("<4sI16s", b"PEAK", 16, b"") + struct.pack("<4sI5sx", b"id3 ", 5, b"ID3ab")
    size = struct.pack("<I", len(content) + len(peak) - 8)
    (tmp_path / "a.wav").write_bytes(content[:4] + size + content[8:36] + peak + content[36:])
    np.testing.assert_array_equal(read_wav(tmp_path / "a.wav").samples, plain.samples)


def test_a_class_of_silence_beside_noise_is_one_class(tmp_path):
    folder = write_spoken(tmp_path / "set", clips=12)
    (folder / "none").rename(folder / "silence")
    data = TASK.data(folder, CLIP.model_copy(update={"words": ("low", "silence", "low")}))
    assert data.class_names == ("low", "silence", "unknown")


def test_clips_that_are_not_read_are_named_and_splits_are_no_words(tmp_path):
    folder = write_spoken(tmp_path / "set", clips=12, noise=False)
    (folder / "low" / "speaker").mkdir()
    (folder / "low" / "0.wav").rename(folder / "low" / "speaker" / "0.wav")
    notes = TASK.data(folder, CLIP).notes
    assert "left out: 1 WAV files that lie elsewhere, as low/speaker/0.wav" in notes
    (folder / "low").rename(folder / "training")
    (folder / "high").rename(folder / "test")
    with pytest.raises(DataError, match="test, training are called as splits are, not as sounds"):
        TASK.data(folder, CLIP)


def test_what_is_no_folder_of_words_is_refused(tmp_path):
    folder = write_spoken(tmp_path / "set", clips=3, noise=False)
    with pytest.raises(DataError, match="--words yes: no folder of that word"):
        TASK.data(folder, Reading(words=("yes",)))
    (folder / "testing_list.txt").write_text("low/99.wav\n")
    with pytest.raises(DataError, match=r"row 1: low/99\.wav is not there"):
        TASK.data(folder, CLIP)
    (folder / "testing_list.txt").write_bytes(b"\xef\xbb\xbflow\\1.wav\r\n")
    (folder / "validation_list.txt").write_text("low/1.wav\n")
    with pytest.raises(DataError, match=r"low/1\.wav is in validation_list\.txt, too; drop one"):
        TASK.data(folder, CLIP)
    with pytest.raises(DataError, match="0 folders with WAV files; expected one for each word"):
        TASK.data(folder / "low", CLIP)
    with pytest.raises(ConfigError, match="--task keyword needs --data"):
        TASK.data(None)
