"""`python -m hwkd`, for environments whose scripts folder is not on the path."""

from hwkd.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
