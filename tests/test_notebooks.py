"""Each notebook runs from top to bottom, and is stored with what its cells put out."""

import ast
import base64
import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
PNG = b"\x89PNG\r\n"


def code_cells(notebook):
    content = json.loads(notebook.read_text(encoding="utf-8"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


def run_cell(source, space):
    """Run a cell as a notebook does, and return the value of its last line if that is an expression."""
    body = ast.parse(source).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), space)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), space)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run_and_hold_their_outputs(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = {}
    for number, cell in enumerate(code_cells(notebook), start=1):
        value = run_cell("".join(cell["source"]), space)
        stored = [output.get("data", {}) for output in cell["outputs"]]
        pictures = [base64.b64decode(data["image/png"]) for data in stored if "image/png" in data]

        assert cell["execution_count"] == number
        assert all(output["output_type"] in ("stream", "execute_result") for output in cell["outputs"])
        assert all(picture.startswith(PNG) for picture in pictures)
        if value is not None:
            assert value._repr_png_().startswith(PNG)
            assert len(pictures) == 1


def test_the_recipe_notebook_shows_three_recipes():
    (notebook,) = (path for path in NOTEBOOKS if path.stem == "01_recipe")
    pictures = [output for cell in code_cells(notebook) for output in cell["outputs"] if "data" in output]

    assert len(pictures) == 3
