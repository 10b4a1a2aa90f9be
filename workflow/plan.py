"""What is to be made: the checked configuration and table, and the files of each protein.

Everything that the rules look up stands here, so that it can be tested without running Snakemake.
"""

import hashlib
import json
import random
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from data.errors import ConfigError
from data.families import CLUSTER, read_families, read_folds
from data.query import uniprot_accession
from data.registry import SOURCES, Source, base_addresses, parse_cell
from data.search import PROGRAMS
from data.table import ProteinRow, read_proteins
from nets.config import INVERSE, PAIR_MAPS, TRROSETTA_MAPS, RefinerConfig, TrainConfig, from_metadata
from nets.shipped import find_weights
from workflow.settings import SCHEMAS, checked_config
from workflow.structure_files import local_input, structure_files

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = "refined"
FOLDS_A_JOB = 50


@dataclass(frozen=True)
class Plan:
    """The proteins of a run and the paths of their files.

    Attributes
    ----------
    config : dict
        Checked configuration.
    proteins : dict of str to ProteinRow
        By name, in the order of the table.
    problems : list of str
        Rows that were skipped because ``skip_bad_rows`` says so.
    remarks : tuple of str
        What is set and has no effect.
    """

    config: dict[str, Any]
    proteins: dict[str, ProteinRow]
    problems: list[str]
    remarks: tuple[str, ...] = ()

    @classmethod
    def from_config(cls, config: dict[str, Any], checked: bool = False) -> "Plan":
        """Check configuration and table; every wrong row is listed before any job starts.

        The jobs of a run need not check the rows again (`checked`).
        """
        config = checked_config(config)
        families = config.get("families", {})
        if not config["proteins"] and not families.get("folder"):
            raise ConfigError("no proteins", file="config", remedy="set proteins, or families: folder")
        if not config["proteins"]:
            rows, problems = read_families(**families), []
        else:
            schema = json.loads((SCHEMAS / "proteins.schema.json").read_text())
            rows, problems = read_proteins(
                config["proteins"], config.get("skip_bad_rows", False), schema, checked
            )
        remarks: tuple[str, ...] = ()
        if config["proteins"] and families.get("folder"):
            remarks = (
                f"families: folder: {families['folder']} is not read, since proteins: {config['proteins']} is"
                ' set; write proteins: "" to run the families',
            )
        plan = cls(config, {row.protein: row for row in rows}, problems, remarks)
        plan.check()
        return plan

    def check(self) -> None:
        """Refuse what a job would only find out later: missing weights, a wrong model, nothing to learn from.

        Raises
        ------
        ConfigError, MapError
        """
        train = self.config["train"]
        for name in self.weights:
            find_weights(name)
        if train.get("seeds") and "seed" in train["settings"]:
            raise ConfigError(
                "one seed and several", file="config", place="train: settings: seed",
                value=f"{train['settings']['seed']} beside seeds {train['seeds']}", remedy="leave one out",
            )  # fmt: skip
        try:
            model = from_metadata(RefinerConfig, train["model"])
            if model.bin_edges != RefinerConfig.bin_edges:
                raise ValueError("no example has labels for other bin_edges than the default ones")
            from_metadata(TrainConfig, train["settings"])
        except ValueError as error:
            raise ConfigError(
                "the model cannot be built or trained", file="config", place="train: model", value=error
            ) from error
        known_maps = (*PAIR_MAPS, *TRROSETTA_MAPS, INVERSE)
        if unknown := sorted(set(model.pair_maps) - set(known_maps)):
            raise ConfigError(
                "unknown pair maps", file="config", place="train: model: pair_maps",
                value=", ".join(unknown), remedy=f"choose from {', '.join(known_maps)}",
            )  # fmt: skip
        known = [name for name, source in SOURCES.items() if source.base]
        if unknown := sorted(set(self.config["fetch"]["base_urls"]) - set(known)):
            raise ConfigError(
                "base URLs of sources that are not known", file="config", place="fetch: base_urls",
                value=", ".join(unknown), remedy=f"choose from {', '.join(known)}",
            )  # fmt: skip
        asked = [name for name in self.names if self.sent_query(name)]
        if asked and not self.config["fetch"].get("allow_remote_search"):
            servers = base_addresses(SOURCES["colabfold"], self.config["fetch"]["base_urls"])
            raise ConfigError(
                f"queries would be sent to {', '.join(servers)}",
                file="config", place="fetch: allow_remote_search",
                value=", ".join(asked[:5]), remedy="set it to true, or search a local file: jackhmmer:PATH",
            )  # fmt: skip
        for fold in self.folds if train["scheme"] != "none" else []:
            if not any(split == "train" for _, split in self.learners(fold)):
                raise ConfigError(
                    "nothing to learn from", file="config",
                    place=f"train: scheme: {train['scheme']}", value=fold,
                    remedy="holdout needs structures with the split train, leave-one-out two clusters",
                )  # fmt: skip

    def row(self, protein: str) -> ProteinRow:
        """Row of a protein."""
        return self.proteins[protein]

    @cached_property
    def names(self) -> list[str]:
        """All proteins."""
        return list(self.proteins)

    @cached_property
    def with_structure(self) -> list[str]:
        """Proteins whose row names a structure."""
        return [name for name, row in self.proteins.items() if row.structure]

    def result(self, protein: str, name: str) -> str:
        """Path of a file in the protein's result folder."""
        return f"{self.config['results']}/{protein}/{name}"

    def alignment_file(self, protein: str) -> str:
        """Path of the alignment of a protein, as it was fetched."""
        return f"{self.config['resources']}/msa/{protein}.a3m.gz"

    def source(self, protein: str) -> Source:
        """Source of a protein's alignment."""
        return SOURCES[parse_cell(self.row(protein).alignment)[0]]

    def local_file(self, protein: str, cell: str) -> list[str]:
        """File or folder that a cell names, so that its change makes the protein run again; else []."""
        return local_input(getattr(self.row(protein), cell))

    @cached_property
    def learnable(self) -> list[str]:
        """Proteins that may be learned from: those with a structure that is no predicted model."""
        return [name for name, row in self.proteins.items() if row.learnable]

    def structure_files(self, protein: str) -> list[str]:
        """Files of all structures of a protein."""
        return structure_files(self.row(protein), self.config["resources"])

    @cached_property
    def searched(self) -> list[str]:
        """Proteins whose alignment is built by a search of a local database."""
        return [name for name in self.names if self.source(name).name in PROGRAMS]

    def search_threads(self, protein: str) -> int:
        """Threads of a search: a jackhmmer search takes one."""
        return 1 if self.source(protein).name == "jackhmmer" else 8

    @cached_property
    def fetched(self) -> list[str]:
        """Proteins whose alignment is fetched or copied."""
        searched = set(self.searched)
        return [name for name in self.names if name not in searched]

    @cached_property
    def with_accession(self) -> list[str]:
        """Proteins whose alignment is built from a sequence that UniProt has to be asked for."""
        return [name for name in self.names if self.accession(name)]

    def accession(self, protein: str) -> str:
        """UniProt accession that a search of the row's query needs the sequence of; empty where none is."""
        return uniprot_accession(self.row(protein).query) if self.source(protein).needs_query else ""

    def query(self, protein: str) -> str:
        """What an alignment is searched with or chosen by: a name, a sequence, or a FASTA path."""
        if self.accession(protein):
            return f"{self.config['resources']}/queries/{protein}.fasta"
        return self.row(protein).query.removeprefix("uniprot:")

    def searched_query(self, protein: str) -> str:
        """What the alignment is a search for; empty where its source is none."""
        return self.query(protein) if self.source(protein).needs_query else ""

    def query_row(self, protein: str) -> str:
        """What names the query's row in the alignment; empty where it is the first."""
        return "" if self.source(protein).query_first else self.query(protein)

    def query_row_file(self, protein: str) -> list[str]:
        """FASTA file that names the query's row in the alignment; [] where none does."""
        return self.query_file(protein) if self.query_row(protein) else []

    def query_file(self, protein: str) -> list[str]:
        """FASTA file that holds the row's query; [] where it is a name or a sequence."""
        query = self.query(protein)
        return [query] if self.accession(protein) or (query.startswith("/") and Path(query).is_file()) else []

    def sent_query(self, protein: str) -> str:
        """What a search server is asked for; empty where none is."""
        source = self.source(protein)
        return self.query(protein) if source.needs_query and source.base else ""

    def structure_file(self, protein: str) -> str | list[str]:
        """Structure that chooses the query row; none where the row names its query or has no structure."""
        row = self.row(protein)
        if row.query or not row.structure or self.source(protein).query_first:
            return []
        return f"{self.config['resources']}/structures/{protein}.cif.gz"

    def provenance(self, protein: str) -> list[str]:
        """JSON files that say where a protein's inputs come from."""
        resources = self.config["resources"]
        files = [f"{self.alignment_file(protein)}.json"]
        if self.accession(protein):
            files.append(f"{resources}/queries/{protein}.fasta.json")
        return files + [f"{path}.json" for path in self.structure_files(protein)]

    def kept(self, path: str, temporary: Any) -> Any:
        """The path as it is, or marked as temporary unless the configuration keeps couplings."""
        return path if self.config["dca"].get("keep_couplings") else temporary(path)

    @cached_property
    def dca_version(self) -> int:
        """Hand-bumped version of the methods; read as text, since importing them compiles kernels."""
        text = (ROOT / "dca" / "methods.py").read_text()
        return int(re.search(r"^VERSION = (\d+)", text, re.M).group(1))

    @property
    def weights(self) -> list[str]:
        """Names or paths of the weights that refine without training; of an ensemble all."""
        said = self.config["refine"]["weights"]
        names = [said] if isinstance(said, str) else list(said)
        return [] if names == ["none"] else names

    @property
    def refiners(self) -> list[str]:
        """Method names of the refined maps that the run makes."""
        shipped = [SHIPPED] if self.weights else []
        trained = [] if self.config["train"]["scheme"] == "none" else [self.config["train"]["name"]]
        return shipped + trained

    def fold(self, protein: str) -> str:
        """What the weights that score the protein leave out: nothing (``all``) or ``without-CLUSTER``."""
        if self.config["train"]["scheme"] == "leave-one-out":
            return f"without-{self.cluster(protein)}"
        return "all"

    @property
    def folds(self) -> list[str]:
        """Folds that this configuration asks for; ``all`` where only the target asks."""
        if self.config["train"]["scheme"] == "leave-one-out":
            return sorted({self.fold(name) for name in self.learnable})
        return ["all"]

    @cached_property
    def _shipped(self) -> list[str]:
        return [str(find_weights(name)) for name in self.weights]

    def runs(self, fold: str) -> list[str]:
        """Training runs of a fold: one, or ``FOLD~SEED`` for each member of an ensemble."""
        seeds = self.config["train"].get("seeds") or []
        return [f"{fold}~{seed}" for seed in seeds] or [fold]

    def trained_files(self, fold: str) -> list[str]:
        """Weights of all training runs of a fold."""
        return [f"{self.config['results']}/model/{run}/weights.safetensors" for run in self.runs(fold)]

    def refiner_files(self, refiner: str, protein: str) -> list[str]:
        """Weights that make the map of this name for the protein: one, or those of an ensemble."""
        if refiner == SHIPPED:
            return self._shipped
        return self.trained_files(self.fold(protein))

    def refiner_name(self, refiner: str, protein: str) -> str:
        """What a report calls these weights: all members of an ensemble."""
        if refiner == SHIPPED:
            return " + ".join(Path(path).stem for path in self._shipped)
        return f"trained in this run, {' + '.join(self.runs(self.fold(protein)))}"

    @property
    def example_settings(self) -> dict[str, Any]:
        """Arguments of the rules that write training examples."""
        train = self.config["train"]
        return {
            "depths": train["depths"],
            "pair_maps": list(train["model"].get("pair_maps", RefinerConfig().pair_maps)),
            "seed": self.config["seed"],
        } | ({"with_alignment": True} if train["settings"].get("live_every") else {})

    def map_files(self, protein: str) -> list[str]:
        """Files whose maps are scored."""
        names = ["maps.npz", *(f"{refiner}.npz" for refiner in self.refiners)]
        if self.row(protein).maps:
            names.append("foreign.npz")
        return [self.result(protein, name) for name in names]

    def report_files(self, protein: str) -> dict[str, Any]:
        """Inputs of the page, by name."""
        names = {name: f"{name}.npz" for name in ("alignment", "weights", "maps", "contacts")}
        names |= {refiner.replace("-", "_"): f"{refiner}.npz" for refiner in self.refiners}
        row = self.row(protein)
        files: dict[str, Any] = {}
        if row.structure:
            names |= {"truth": "truth.npz", "scores": "scores.tsv", "agreement": "agreement.tsv"}
            files["structure"] = self.structure_files(protein)
        if row.maps:
            names["foreign"] = "foreign.npz"
        files |= {name: self.result(protein, file) for name, file in names.items()}
        return files | {"provenance": self.provenance(protein)}

    def cluster(self, protein: str) -> str:
        """Homology cluster of a protein; a protein without one stands alone."""
        return self.row(protein).cluster or protein

    def learners(self, fold: str) -> list[tuple[str, str]]:
        """(protein, split) of all that a training run reads.

        Predicted models never are. In ``leave-one-out`` every protein with a structure outside the left-out
        cluster is learned from; else the split column says who is learned from and who tunes.
        """
        if fold != "all":
            left_out = fold.removeprefix("without-")
            return [(name, "train") for name in self.learnable if self.cluster(name) != left_out]
        rows = ((name, self.row(name).split) for name in self.learnable)
        return [(name, split) for name, split in rows if split in ("train", "tune")]

    def training_files(self, fold: str) -> list[dict[str, str]]:
        """Examples of a training run: protein, path, cluster and split of each file."""
        files = []
        teacher = self.config["train"]["settings"].get("teacher", "")
        for name, split in self.learners(fold):
            common = {"cluster": self.cluster(name), "split": split}
            taught = {"teacher": self.result(name, "teacher.npz")} if teacher and split == "train" else {}
            files.append({"protein": name, "path": self.result(name, "dataset.npz")} | common | taught)
            simulated = self.config["train"]["simulated"] if split == "train" else 0
            files += [
                {"protein": f"{name}~{k}", "path": self.result(name, f"simulated-{k}.npz")} | common
                for k in range(simulated)
            ]
        return files + [entry for batch in self.fold_batches for entry in self.fold_files(batch)]

    @property
    def fold_batches(self) -> dict[str, list[str]]:
        """Chains of a folder of structures that simulated families are made on, in batches of one job."""
        folds = self.config["train"].get("folds") or {}
        if not folds.get("folder"):
            return {}
        names = sorted(read_folds(folds["folder"], folds.get("longest", 0)))
        random.Random(self.config["seed"]).shuffle(names)
        chosen = names[: folds["count"]] if folds.get("count") else names
        return {
            f"{k // FOLDS_A_JOB:04d}": chosen[k : k + FOLDS_A_JOB] for k in range(0, len(chosen), FOLDS_A_JOB)
        }

    def fold_folder(self, batch: str) -> str:
        """Folder of a batch of simulated families."""
        return f"{self.config['results']}/model/simulated/{batch}"

    def fold_files(self, batch: str) -> list[dict[str, str]]:
        """Examples of a batch; every fold is a cluster of its own."""
        return [
            {
                "protein": name,
                "path": f"{self.fold_folder(batch)}/{name}.npz",
                "cluster": CLUSTER + name,
                "split": "train",
            }
            for name in self.fold_batches[batch]
        ]


def source_digest(*packages: str) -> str:
    """Checksum of packages' source, passed to cheap rules so that a change of code makes them run again."""
    digest = hashlib.sha256()
    for package in packages:
        for path in sorted((ROOT / package).rglob("*")):
            if path.suffix in (".py", ".j2", ".js", ".css"):
                digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
