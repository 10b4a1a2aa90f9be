"""``python -m report RESULTS``: what a run found, as tables on the terminal."""

import argparse
import sys
from pathlib import Path
from typing import Any

from data.errors import CovarionError
from data.store import load_json
from report.outcomes import FINISHED, proteins_found, read_outcomes
from report.peers import with_peers
from report.reliability import expected_error, reliability, reliability_text
from report.summary import mean_text, means, summary_table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m report", description=__doc__)
    parser.add_argument("results", type=Path, help="results folder of a run")
    parser.add_argument(
        "--means", action="store_true", help="means over cluster representatives, as Markdown"
    )
    parser.add_argument("--peers", help="table of other programs' precision; with --means")
    options = parser.parse_args()
    if options.peers and not options.means:
        parser.error("--peers are shown among the means: give --means too")
    return options


def _print_means(results: Path, rows: list[dict[str, Any]], peers: str | None) -> None:
    outcomes = read_outcomes(results, rows)
    if peers:
        outcomes = with_peers(outcomes, peers)
    print("Mean precision of long-range contacts over cluster representatives, 95 % bootstrap interval over")
    print("clusters; after the semicolon the paired difference to plm, with its interval.\n")
    for split in dict.fromkeys(outcome.split for outcome in outcomes):
        if split:
            print(f"Split `{split}`:\n")
        print(mean_text(means([outcome for outcome in outcomes if outcome.split == split])))
    bins = reliability(results, [outcome.name for outcome in outcomes])
    if bins:
        print("Reliability of the probabilities of `refined`, pairs with |i - j| >= 6:\n")
        print(reliability_text(bins))
        print(f"Mean absolute difference over the pairs: {expected_error(bins):.4f}\n")
    for outcome in outcomes:
        if outcome.status != FINISHED:
            print(f"{outcome.name}: {outcome.status}: {outcome.reason}")


def _print_stages(stages: dict[str, dict[str, float]]) -> None:
    print("| stage | jobs | wall s, all jobs | CPU s | peak MB of a job |\n|---|---|---|---|---|")
    for name, entry in stages.items():
        cpu, peak = entry.get("cpu", 0.0), entry["peak_mb"]
        print(f"| {name} | {entry['jobs']} | {entry['seconds']:.0f} | {cpu:.0f} | {peak:.0f} |")


def main() -> int:
    """Print the tables; exit code 1 where the folder holds no run."""
    options = _arguments()
    record = options.results / "run.json"
    try:
        run = load_json(record) if record.exists() else None
        if run is None:
            raise CovarionError("no run has ended there", file=record, remedy="run snakemake first")
        rows = run.get("proteins") or proteins_found(options.results)
        if options.means:
            _print_means(options.results, rows, options.peers)
            _print_stages(run["stages"])
        else:
            print(summary_table(options.results, rows))
    except CovarionError as error:
        print(f"python -m report: {error}", file=sys.stderr)
        return 1
    print(f"\nOverview: {options.results / 'index.html'}\nReports:  {options.results}/PROTEIN/report.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
