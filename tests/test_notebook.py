"""The notebook of the documentation runs from its first cell to its last."""

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebook.ipynb"


def shown(cell):
    """Return all text that a cell shows."""
    outputs = [output.get("data", {}) for output in cell.outputs]
    return "\n".join(text for data in outputs for text in data.values() if isinstance(text, str))


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("default")  # of Jupyter's own parts
def test_the_notebook_runs_and_shows_bars_frames_and_a_good_student(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("pandas")
    monkeypatch.setenv("HWKD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "clear its outputs"
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "<progress" in shown(code[1])
    assert "Pareto front" in shown(code[1])
    assert "validation_error_int8" in shown(code[2])
    assert "Peak RAM" in shown(code[4])
    assert eval(shown(code[-1]))["accuracy"] > 0.5
