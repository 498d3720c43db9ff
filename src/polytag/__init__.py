"""Polytag: train, sweep, compare and ship multi-label image classifiers."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polytag.inference.loaded_run import load_run

__all__ = ["load_run"]


def __getattr__(name: str) -> Any:
    """Import `load_run` when it is asked for: it needs torch, and the commands' `--help` should not wait for that."""
    if name == "load_run":
        from polytag.inference.loaded_run import load_run

        return load_run
    raise AttributeError(f"module 'polytag' has no attribute {name!r}")
