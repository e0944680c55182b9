import os

import pytest

from hwkd.core.printable import printable


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Zürich 東京 😀", "Zürich 東京 😀"),
        (os.fsdecode(b"caf\xe9"), r"caf\xe9"),
        ("two\nlines\x1b[31m", r"two\nlines\x1b[31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("thin\u2009space", "thin space"),
        ("👩\u200d🔬", "👩\u200d🔬"),
    ],
)
def test_text_from_outside_becomes_one_line_that_every_file_takes(given, shown):
    assert printable(given) == shown
    assert printable(given).encode("utf-8")
