"""What a run left behind for each protein of the table, whatever is missing or broken."""

import logging
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data import scoring, store
from data.errors import CovarionError
from data.models import MODEL
from data.truth_file import kind_of_truth
from report import figures
from report.kin import Kinship, overall, read_kinship
from report.methods import LEARNED, best_method, ordered
from report.payload import score_names

log = logging.getLogger(__name__)

FINISHED, FAILED, INCOMPLETE = "finished", "failed", "incomplete"
_BROKEN = (CovarionError, zipfile.BadZipFile, OSError, ValueError, KeyError, TypeError, IndexError)


@dataclass
class Outcome:
    """A protein of the table and what there is of it.

    Attributes
    ----------
    row : dict
        Its row of the table of proteins.
    status : str
        ``finished``, ``failed`` (failure.json tells why) or ``incomplete`` (`reason` tells what lacks).
    reason, stage : str
        Why it did not finish, and where.
    failure : dict
        Content of failure.json.
    length, n_seq : int or None
        Query residues and sequences.
    first_index : int
        Number of the first query residue.
    neff : float or None
        Effective sequences.
    scores : list of dict
        Rows of scores.tsv against the first chain; empty without an experimental structure.
    structure : str
        Entry and chain that it was compared with; a predicted model is called so.
    thumbnail : str
        Data URL of a tiny contact map.
    page : str
        Address of its page, relative to the overview.
    learned : dict of str to str
        How the weights of a refined method know the protein, where they do (`report.methods.LEARNED`).
    published : dict of str to str
        What the weights of a refined method have from published networks, where they do.
    kin : Kinship or None
        What is known of homologues among the families behind the weights; None without refined maps.
    """

    row: dict[str, Any]
    status: str = FINISHED
    reason: str = ""
    stage: str = ""
    failure: dict[str, Any] = field(default_factory=dict)
    length: int | None = None
    first_index: int = 1
    n_seq: int | None = None
    neff: float | None = None
    scores: list[dict[str, Any]] = field(default_factory=list)
    structure: str = ""
    thumbnail: str = ""
    page: str = ""
    learned: dict[str, str] = field(default_factory=dict)
    published: dict[str, str] = field(default_factory=dict)
    kin: Kinship | None = None

    @property
    def name(self) -> str:
        """Name of the protein."""
        return str(self.row["protein"])

    @property
    def cluster(self) -> str:
        """Homology cluster; a protein without one is its own."""
        return str(self.row.get("cluster") or self.name)

    @property
    def split(self) -> str:
        """Split of the table, "" without one."""
        return str(self.row.get("split") or "")

    @property
    def depth_bin(self) -> str:
        """Depth bin by Neff, "" where it is unknown."""
        return scoring.depth_bin(self.neff) if self.neff is not None else ""

    def precision(self, method: str, range_name: str, cut: str) -> float | None:
        """Precision of a method, None where it was not scored."""
        for row in self.scores:
            if (row["method"], row["range"], row["cut"]) == (method, range_name, cut):
                return row["precision"]
        return None


def read_outcomes(
    results_dir: str | Path, proteins: list[dict[str, Any]], thumbnails: bool = False
) -> list[Outcome]:
    """Outcome of every protein of the table; a missing or broken file becomes a reason, never an error."""
    return [_outcome(Path(results_dir) / str(row["protein"]), row, thumbnails) for row in proteins]


def proteins_found(results_dir: str | Path) -> list[dict[str, Any]]:
    """Rows that name the proteins of a results folder: the folders with an alignment or a failure."""
    marks = ("alignment.npz", "failure.json")
    folders = {path.parent.name for mark in marks for path in Path(results_dir).glob(f"*/{mark}")}
    return [{"protein": name} for name in sorted(folders)]


def _outcome(folder: Path, row: dict[str, Any], thumbnails: bool) -> Outcome:
    outcome = Outcome(row)
    _attempt(_read_depth, folder, outcome)
    if (folder / "failure.json").exists():
        _attempt(_read_failure, folder, outcome)
        return outcome
    _attempt(_read_scores, folder, outcome)
    _attempt(_read_learned, folder, outcome)
    _check_whole(folder, outcome)
    if thumbnails and outcome.status == FINISHED:
        _attempt(_read_maps, folder, outcome)
    if outcome.status == FINISHED:
        outcome.page = f"{folder.name}/report.html"
    return outcome


def _check_whole(folder: Path, outcome: Outcome) -> None:
    """A protein is finished when its page is there, and its scores where there is a structure."""
    wanted = ["maps.npz", "report.html", *(["scores.tsv"] if (folder / "truth.npz").exists() else [])]
    missing = [name for name in wanted if not (folder / name).exists()]
    if missing and outcome.status == FINISHED:
        outcome.status, outcome.reason = INCOMPLETE, f"{', '.join(missing)} missing"


def _attempt(reader: Any, folder: Path, outcome: Outcome) -> None:
    """Run a reader; what it cannot read is the protein's own trouble."""
    try:
        reader(folder, outcome)
    except _BROKEN as error:
        log.warning("%s: %s", folder.name, error)
        if outcome.status == FINISHED:
            outcome.status, outcome.reason = INCOMPLETE, str(error)


def _read_failure(folder: Path, outcome: Outcome) -> None:
    outcome.status, outcome.reason = FAILED, "failure.json cannot be read"
    outcome.failure = dict(store.load_json(folder / "failure.json"))
    outcome.stage = str(outcome.failure.get("stage", ""))
    outcome.reason = str(outcome.failure.get("problem", "no reason is given"))


def _read_depth(folder: Path, outcome: Outcome) -> None:
    if not (folder / "alignment.npz").exists():
        outcome.status, outcome.reason = INCOMPLETE, "no result yet: alignment.npz is missing"
        return
    with store.open_arrays(folder / "alignment.npz") as alignment:
        outcome.n_seq, outcome.length = alignment.shape("tokens")
        outcome.first_index = int(alignment["first_index"]) if "first_index" in alignment else 1
    with store.open_arrays(folder / "weights.npz") as weights:
        outcome.neff = float(weights["neff"])


def _read_scores(folder: Path, outcome: Outcome) -> None:
    if "structure" in outcome.row and not outcome.row["structure"]:
        return  # the row names none any more: scores of an earlier run do not count
    if (folder / "scores.tsv").exists():
        outcome.scores = scoring.read_scores(folder / "scores.tsv")
    if (folder / "truth.npz").exists():
        with store.open_arrays(folder / "truth.npz") as arrays:
            truth = {name: arrays[name] for name in ("entry", "chain", "kind") if name in arrays}
        outcome.structure = " ".join(str(truth[key]) for key in ("entry", "chain") if str(truth.get(key, "")))
        if kind_of_truth(truth) == MODEL:
            outcome.structure += " (predicted model)"


_TOLD = ("weights", "learned", "homology", "published")  # of a refined map's weights


def _read_learned(folder: Path, outcome: Outcome) -> None:
    kinships = []
    for path in sorted(folder.glob("refined*.npz")):
        with store.open_arrays(path) as arrays:
            told = {name: arrays[name] for name in _TOLD if name in arrays}
        kinships.append(read_kinship(path.stem, told, outcome.first_index))
        if (how := str(told.get("learned", ""))) in LEARNED:
            outcome.learned[path.stem] = how
        if origin := str(told.get("published", "")):
            outcome.published[path.stem] = origin
    outcome.kin = overall(kinships)


def _read_maps(folder: Path, outcome: Outcome) -> None:
    places = dict.fromkeys(score_names(folder / "maps.npz"), folder / "maps.npz")
    places |= {path.stem: path for path in sorted(folder.glob("refined*.npz"))}
    best, truth = best_method(places), folder / "truth.npz"
    score = _array(places[best], "contact" if places[best].stem == best else best)
    outcome.thumbnail = figures.thumbnail(score, _array(truth, "distance") if truth.exists() else None)


def _array(path: Path, name: str) -> Any:
    """One array of a file, the others unread."""
    with store.open_arrays(path) as arrays:
        return arrays[name]


def scored_methods(outcomes: list[Outcome]) -> list[str]:
    """Methods with a score anywhere, in the order of display."""
    return ordered(row["method"] for outcome in outcomes for row in outcome.scores)


def representatives(outcomes: list[Outcome]) -> list[Outcome]:
    """First scored protein of each homology cluster, in the order of the table."""
    chosen: dict[str, Outcome] = {}
    for outcome in outcomes:
        if outcome.scores:
            chosen.setdefault(outcome.cluster, outcome)
    return list(chosen.values())
