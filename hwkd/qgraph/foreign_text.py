"""Text from outside (names of files, nodes, tensors and classes) as it may stand in C.

Identifiers in the C are made of our own words and a step's number, so no foreign text ever becomes
one. What is left are string literals and comments, and both are written here only: text that closed
its literal or comment would be compiled and run.
"""

from __future__ import annotations

from collections.abc import Container

# A question mark is escaped because two of them start a trigraph.
_ESCAPED = frozenset(b'"\\?')
_PRINTABLE = range(0x20, 0x7F)
# Ends and starts of comments, trigraphs; a space between takes their meaning away.
_SPLIT_IN_COMMENTS = ("*/", "/*", "//", "??")


def string_bytes(text: str) -> bytes:
    """Return the bytes of a C string without its final zero: UTF-8, lone surrogates spelt out."""
    return text.encode("utf-8", "backslashreplace")


def c_string(text: str) -> str:
    """Return a C string literal of printable ASCII that holds `string_bytes(text)`."""
    # Octal escapes end after three digits, so that a digit behind them stays a digit.
    parts = [
        f"\\{chr(byte)}" if byte in _ESCAPED
        else chr(byte) if byte in _PRINTABLE
        else f"\\{byte:03o}"
        for byte in string_bytes(text)
    ]  # fmt: skip
    return f'"{"".join(parts)}"'


def c_comment(text: str) -> str:
    """Return one line of printable ASCII that neither ends a comment nor starts one.

    A blank goes before and behind it in the comment.

    Characters outside ASCII are spelt out: some reverse the direction of what follows them, and an
    editor would show other code than the compiler reads.
    """
    ascii_text = text.encode("ascii", "backslashreplace").decode("ascii")
    line = "".join(c if ord(c) in _PRINTABLE else f"\\x{ord(c):02x}" for c in ascii_text)
    for pair in _SPLIT_IN_COMMENTS:
        while pair in line:  # once is not enough for "//*/", whose pairs overlap
            line = line.replace(pair, f"{pair[0]} {pair[1]}")
    return line.replace("`", "'")  # the README quotes with it


def fresh_name(wanted: str, taken: Container[str]) -> str:
    """Return a name for a tensor of our own that no tensor of the file has."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name
