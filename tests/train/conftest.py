import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HWKD_CACHE_DIR", str(tmp_path / "cache"))
