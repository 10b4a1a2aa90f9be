"""The network that a configuration names."""

from typing import TYPE_CHECKING

from nets.config import RefinerConfig
from nets.model import Committee, Refiner

if TYPE_CHECKING:
    from nets.trrosetta import TrRosettaRefiner


def network_of(config: RefinerConfig) -> "Refiner | Committee | TrRosettaRefiner":
    """A network with parameters drawn at random.

    Raises
    ------
    CovarionError
        The architecture has no such distance bins.
    """
    kind: type = Refiner
    if config.architecture == "trrosetta":
        from nets.trrosetta import TrRosettaRefiner as kind  # here: few weights ask for it
    return Committee(config, kind) if config.members > 1 else kind(config)
