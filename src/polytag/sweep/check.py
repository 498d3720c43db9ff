"""Look at jobs before the first one starts: a mistake in the last of a hundred is found now, and not after two days."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from polytag import build, check_config
from polytag.run_folder import plain_values

if TYPE_CHECKING:
    from polytag.data.label_table import LabelTable
    from polytag.models.network import Network
    from polytag.schedule.recipe import Recipe


class JobCheck:
    """Composes what jobs would train, without weights and without memory for them; what they share is made once."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def check(self, config: DictConfig) -> "Recipe":
        """Return the recipe of a job.

        Raises:
            UserError: The job would fail before its training.
        """
        check_config.check_keys(config, "train")
        build.absolute_paths(config)
        check_config.check_monitor(config)
        config = OmegaConf.merge(config, {"model": {"weights": "none"}, "compile": False})  # type: ignore[assignment]
        if config.recipe.get("lr") == "auto":
            config.recipe.lr = 1.0
        recipe = build.build_recipe(config)
        with quiet():
            table = self.table(config)
            network = self._once(
                ["network", plain_values(config.model), table.classes], lambda: _network(config, table)
            )
            build.build(config.optimizer)
            build.build_metrics(config)
            build.check_parts(config, table, network, build.build_criterion(config, table), recipe)
            nodes = [plain_values(config[name]) for name in ("model", "tta", "transforms")]
            self._once(["sizes", recipe.image_sizes, *nodes], lambda: _check_sizes(config, network, recipe))
        return recipe

    def table(self, config: DictConfig) -> "LabelTable":
        """Return the label table of a job."""
        table: LabelTable = self._once(["table", plain_values(config.data)], lambda: build.build_table(config.data))
        return table

    def _once(self, key: Any, make: Any) -> Any:
        text = json.dumps(key, sort_keys=True, default=str)
        if text not in self._made:
            self._made[text] = make()
        return self._made[text]


def _network(config: DictConfig, table: "LabelTable") -> "Network":
    """Return a network whose tensors have shapes and no content."""
    import torch

    with torch.device("meta"):
        return build.build_network(config, table.classes)


def _check_sizes(config: DictConfig, network: "Network", recipe: "Recipe") -> bool:
    build.check_image_sizes(network, recipe)
    build.check_tta(config, network, recipe)
    return True


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out what each job says of its data and settings: it says so again when it starts."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
