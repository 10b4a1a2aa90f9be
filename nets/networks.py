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
    if config.architecture == "trrosetta":
        from nets.trrosetta import TrRosettaRefiner  # here: few weights ask for it

        return TrRosettaRefiner(config)
    return Committee(config) if config.members > 1 else Refiner(config)
