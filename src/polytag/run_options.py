"""`from_run`: config groups whose values are those of the run that a command is called for.

`evaluate run=DIR data.root=X` changes one value of the run's data config, `evaluate run=DIR data=csv` takes other data.
For that Hydra must know the run's values before it reads the command line, so they are registered as an option.
"""

from collections.abc import Sequence

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser

from polytag.errors import UserError
from polytag.run_folder import RunFolder

GROUPS = ("data", "policy", "tta")
NO_TTA = {"_target_": "polytag.inference.tta.NoTTA"}  # of runs from before there was the group


def register_run_options(overrides: Sequence[str]) -> None:
    """Register `from_run` in each group, with the values of the run that the command line names.

    Raises:
        UserError: No run is named, or several at once.
    """
    named = [o for o in OverridesParser.create().parse_overrides(list(overrides)) if o.key_or_group == "run"]
    if any(override.is_sweep_override() for override in named):
        raise UserError("This command takes one run at a time: call it once for each.")
    store = ConfigStore.instance()
    config = RunFolder.existing(str(named[-1].value())).read_config() if named else None
    for group in GROUPS:
        store.store(group=group, name="from_run", node=config.get(group, NO_TTA) if config is not None else {})
