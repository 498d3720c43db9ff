"""The environment of the peers, beside ours: `.venv-peers`, made on first use."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / ".venv-peers"
# The same torch and timm as ours, so that a ratio compares programs and not libraries below them.
PACKAGES = (
    "fastai==2.8.12",
    "webdataset>=1,<2",
    "simplejpeg>=1.8,<2",
    "scikit-learn>=1.5,<2",
    *(f"{name}=={version(name)}" for name in ("torch", "timm", "litdata", "albumentations", "opencv-python-headless")),
)


def python() -> str:
    """Return the interpreter of that environment."""
    interpreter = FOLDER / "bin" / "python"
    ready = FOLDER / ".ready"
    if not ready.exists() or ready.read_text() != repr(PACKAGES):
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--clear", str(FOLDER)], check=True)
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(interpreter), *PACKAGES]
        subprocess.run(install, check=True)
        ready.write_text(repr(PACKAGES))
    return str(interpreter)
