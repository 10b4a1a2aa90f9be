"""What the data set is made from and what training is told: looked up by the rules of training."""

import re
from dataclasses import dataclass
from typing import Any

from data.errors import ConfigError
from data.families import CLUSTER
from nets.config import FEATURE_VERSION
from nets.shipped import find_weights
from workflow.plan import Plan

PUBLISHED = re.compile("trrosetta:[1-5]")  # a published network as a start


@dataclass(frozen=True)
class DatasetPlan:
    """The training examples of a run, as one data set.

    Attributes
    ----------
    plan : Plan
    """

    plan: Plan

    @property
    def files(self) -> list[dict[str, str]]:
        """Examples of all training runs, each once."""
        runs = map(self.plan.training_files, self.plan.folds)
        return list({entry["path"]: entry for files in runs for entry in files}.values())

    @property
    def inputs(self) -> list[str]:
        """Files and folders that the data set is made from."""
        real = [entry for entry in self.files if not entry["cluster"].startswith(CLUSTER)]
        files = {entry[name] for entry in real for name in ("path", "teacher") if name in entry}
        return [*sorted(files), *map(self.plan.fold_folder, self.plan.fold_batches)]

    @property
    def sources(self) -> dict[str, list[str]]:
        """Provenance records of each protein that is learned from or tuned by."""
        names = {name for fold in self.plan.folds for name, _ in self.plan.learners(fold)}
        return {name: self.plan.provenance(name) for name in sorted(names)}

    @property
    def records(self) -> list[str]:
        """All of these records."""
        return [path for paths in self.sources.values() for path in paths]

    @property
    def version(self) -> int:
        """Of the features: finished examples of an older one are computed anew."""
        return FEATURE_VERSION

    @property
    def megabytes(self) -> int:
        """Most of a shard."""
        return self._train.get("shard_mb", 512)

    def kept(self, path: Any, temporary: Any) -> Any:
        """The output as it is, or marked as temporary where the shards are all that is wanted."""
        return path if self._train.get("keep_examples", True) else temporary(path)

    @property
    def processes(self) -> int:
        """Processes that train one network together."""
        return self._train.get("processes", 1)

    @property
    def teacher(self) -> str:
        """Published network whose distance distributions are labels too; empty: none."""
        return self._train["settings"].get("teacher", "")

    def training(self, run: str) -> dict[str, Any]:
        """What the weights of a run depend on; how they are computed is no reason to train again."""
        settings = self._train["settings"]
        if "~" in run:
            settings = settings | {"seed": int(run.rpartition("~")[2])}
        return {"model": self._train["model"], "settings": settings}

    @property
    def start_file(self) -> list[str]:
        """Weights that training goes on from; [] where it starts at random.

        Raises
        ------
        ConfigError, MapError
        """
        start = self._train.get("start", "")
        if PUBLISHED.fullmatch(start):
            if self._train["model"].get("architecture") != "trrosetta":
                raise ConfigError(
                    "a start of another architecture", file="config", place="train: start", value=start,
                    remedy="set train: model: {architecture: trrosetta, pair_maps: [inverse]}",
                )  # fmt: skip
            return [f"{self.plan.config['results']}/model/published/{start.replace(':', '-')}.safetensors"]
        return [str(find_weights(start))] if start else []

    def left_out(self, run: str) -> str:
        """Cluster that a training run learns nothing from; empty for ``all``."""
        fold = run.partition("~")[0]
        return "" if fold == "all" else fold.removeprefix("without-")

    @property
    def _train(self) -> dict[str, Any]:
        return self.plan.config["train"]
