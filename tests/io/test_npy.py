import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from hwkd.io.npy import read_npy, read_npy_file

TYPES = ["u1", "<i2", ">i4", "<f4", ">f8", "?", "<U3", "S2"]


def stored(array, version=None):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asanyarray(array), version=version)
    return stream.getvalue()


def read(content):
    return read_npy(io.BytesIO(content), available_bytes=len(content))


def with_header(text, body=b""):
    header = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(TYPES).flatmap(
        lambda kind: st_numpy.arrays(kind, st_numpy.array_shapes(min_dims=0, max_dims=4))
    ),
    st.booleans(),
)
def test_what_numpy_writes_is_read_back(array, is_fortran):
    written = np.asarray(array, order="F" if is_fortran else "C")
    result = read(stored(written))
    assert result.shape == array.shape
    assert result.dtype == array.dtype.newbyteorder("=")
    assert result.tobytes() == array.astype(result.dtype).tobytes()


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_all_versions_of_the_format_are_read(version):
    assert read(stored(np.arange(5), version)).tolist() == [0, 1, 2, 3, 4]


def test_a_file_is_read(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(3))
    np.testing.assert_array_equal(read_npy_file(tmp_path / "a.npy"), np.eye(3))


HEAD = "{'descr': %s, 'fortran_order': False, 'shape': %s}"


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "no NumPy array"),
        (b"hello there", "no NumPy array"),
        (b"\x93NUMPY\x09\x00", "NumPy format 9.0 is unknown"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f", "a header of 2,147,483,647 bytes"),
        (b"\x93NUMPY\x01\x00\x40\x00{", "the header is cut"),
        (with_header("{'descr': '|u1', 'shape': (("), "the header is damaged"),
        (with_header("[" * 4000 + "]" * 4000), "the header is damaged"),
        (with_header("9" * 6000), "the header is damaged"),
        (with_header(HEAD % ("'<f8'", "(99999999999,)")), r"claims shape \(99999999999,\)"),
        (with_header(HEAD % ("'<f8'", "(-1,)")), "holds no shape"),
        (with_header(HEAD % ("'<f8'", "(True,)")), "holds no shape"),
        (with_header(HEAD % ("'|O'", "(1,)"), b"x"), "holds Python objects"),
        (with_header(HEAD % ("[('a', '<f8')]", "(1,)"), b"x" * 8), "records of several values"),
        (with_header(HEAD % ("'<c8'", "(1,)"), b"x" * 8), "holds type complex64"),
        (with_header(HEAD % ("'<U0'", "(999999999,)")), "holds type"),
        (with_header(HEAD % ("'nothing'", "(1,)")), "names no type"),
        (stored(np.arange(4))[:-1], "31 are there"),
        (stored(np.arange(4)) + b"x", "33 are there"),
    ],
)
def test_a_damaged_array_is_refused_with_its_reason(content, match):
    with pytest.raises(ValueError, match=match):
        read(content)


def test_fewer_bytes_than_promised_are_noticed():
    content = stored(np.arange(4))
    with pytest.raises(ValueError, match="cut: 24 of 32 bytes"):
        read_npy(io.BytesIO(content[:-8]), available_bytes=len(content))
