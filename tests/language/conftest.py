"""A folder with one decoder of each kind and text for them, which tests read."""

import pytest
from support.decoders import KINDS, write_decoder, write_text


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("decoders")
    for kind in KINDS:
        write_decoder(folder / kind, kind)
    write_text(folder / "text")
    return folder
