"""Shapes of the networks behind refined maps, which memory and time of their jobs depend on."""

from typing import Any

from data.errors import CovarionError
from nets.config import TRROSETTA, RefinerConfig, as_metadata, from_metadata
from nets.shipped import weights_config
from workflow.dataset_plan import PUBLISHED
from workflow.plan import SHIPPED, Plan


def member_configs(plan: Plan, refiner: str) -> list[RefinerConfig]:
    """Shape of each network that makes the map of this name; a usual one where a file cannot be read."""
    train = plan.config["train"]
    if refiner == SHIPPED:
        return [_config(name, {}) for name in plan.weights]
    return [_config(train.get("start", ""), train["model"])] * max(1, len(train.get("seeds") or []))


def _config(name: str, model: dict[str, Any]) -> RefinerConfig:
    try:
        begun = TRROSETTA if PUBLISHED.fullmatch(name) else weights_config(name) if name else None
        return from_metadata(RefinerConfig, (as_metadata(begun) if begun else {}) | model)
    except (CovarionError, ValueError):  # the job is to say so
        return RefinerConfig()
