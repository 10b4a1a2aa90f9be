"""``python -m report RESULTS``: where the reports of a run are and its table of precision."""

import argparse
import sys
from pathlib import Path

from report.overview import summary_table


def main() -> int:
    """Print the table; exit code 1 where the folder holds no run."""
    parser = argparse.ArgumentParser(prog="python -m report", description=__doc__)
    parser.add_argument("results", type=Path)
    results = parser.parse_args().results
    record = results / "run.json"
    if not record.exists():
        print(f"python -m report: {record} is missing: no run has ended there", file=sys.stderr)
        return 1
    print(summary_table(results, []))
    print(f"\nOverview: {results / 'index.html'}\nReports:  {results}/PROTEIN/report.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
