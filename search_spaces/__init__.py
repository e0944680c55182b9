"""Search spaces, one file each; import as `hwkd.search_spaces` only."""

if __name__ != "hwkd.search_spaces":  # a second copy would register every space twice
    raise ImportError(
        "import hwkd.search_spaces, not search_spaces: run `pip install -e .` in the checkout"
    )
