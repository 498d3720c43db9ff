"""Each notebook runs from top to bottom, and is stored without what its cells put out."""

import ast
import json
from pathlib import Path

import pytest
from PIL import Image

FOLDER = Path(__file__).parents[1] / "notebooks"
PICTURES = {"01_recipe": 3, "02_look_at_data": 4, "03_errors_and_thresholds": 3, "04_your_own_data": 2}


def cells(name):
    content = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


def run_cell(source, space):
    """Run a cell as a notebook does, and return the value of its last line if that is an expression."""
    body = ast.parse(source).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), space)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), space)


def test_all_notebooks_are_looked_at():
    assert sorted(PICTURES) == sorted(file.stem for file in FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("name", PICTURES)
def test_a_notebook_is_stored_without_output(name):
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells(name))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name[:2] in ("03", "04") else ()) for name in PICTURES]
)
def test_a_notebook_runs_and_shows_its_pictures(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    space = {}
    values = [run_cell("".join(cell["source"]), space) for cell in cells(name)]
    pictures = [value for value in values if isinstance(value, Image.Image)]
    assert len(pictures) == PICTURES[name]
    assert all(picture._repr_png_().startswith(b"\x89PNG") for picture in pictures)
    assert "Error" not in capsys.readouterr().out
