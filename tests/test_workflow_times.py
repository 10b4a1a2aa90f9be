"""Progress on the console, and what a run took by stage."""

import logging

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from workflow.journal import Journal
from workflow.progress import Remaining, told
from workflow.run_times import stage_times

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def test_remaining_time_at_the_pace_so_far(caplog):
    logger = logging.getLogger("as-snakemake")
    now = [0.0]
    handler = Remaining(logger, lambda: now[0])
    logger.addHandler(handler)
    caplog.set_level(logging.INFO)

    def report(second, done, total, event=LogEvent.PROGRESS):
        now[0] = second
        before = len(caplog.messages)
        logger.info("of Snakemake", extra={"event": event, "done": done, "total": total})
        return [text for text in caplog.messages[before:] if text != "of Snakemake"]

    assert report(10, 1, 100) == []  # too early to tell
    assert report(60, 10, 100) == ["about 9 min left, 90 jobs at this pace"]
    assert report(70, 20, 100) == []
    assert report(100, 50, 100, LogEvent.JOB_FINISHED) == []
    assert report(120, 99, 100) == ["about 1 min left, 1 job at this pace"]
    assert report(200, 100, 100) == []
    logger.removeHandler(handler)


def test_hours_are_told():
    assert told(7_800, 1_200) == "about 2 h 10 min left, 1,200 jobs at this pace"


def test_stages_of_jobs_and_of_batches_are_added(tmp_path):
    folder = tmp_path / "one" / "benchmarks"
    folder.mkdir(parents=True)
    (folder / "infer_couplings.tsv").write_text(HEADER + "4.0\t0:00:04\t300.5\t1\t1\t1\t0\t0\t90\t3.0\n")
    (folder / "fetch_structure~2.tsv").write_text(HEADER + "0.2\t0:00:00\tNA\tNA\tNA\tNA\tNA\tNA\tNA\tNA\n")
    (folder / "map_structure.tsv").write_text("")
    (tmp_path / "gone" / "benchmarks").mkdir(parents=True)
    (tmp_path / "gone" / "benchmarks" / "infer_couplings.tsv").write_text(HEADER + "99\t\t1\t\t\t\t\t\t\t9\n")
    (tmp_path / "batches").mkdir()
    (tmp_path / "batches" / "0000.benchmark.tsv").write_text(HEADER + "9\t\t400\t\t\t\t\t\t\t8\n")
    two = tmp_path / "two"
    two.mkdir()
    line = '{{"stage":"infer_couplings","key":"k","wall":{},"cpu":{},"peak_mb":500.0}}\n'
    (two / "made.jsonl").write_text(line.format(50, 50) + line.format(6, 7))  # the last one counts
    found = stage_times(tmp_path, ["one", "two"])
    assert found["infer_couplings"] == {
        "jobs": 2, "seconds": 10.0, "cpu": 10.0, "peak_mb": 500.0, "use": pytest.approx(1.0)
    }  # fmt: skip
    assert found["fetch_structure"] == {"jobs": 1, "seconds": 0.2, "cpu": 0.0, "peak_mb": 0.0, "use": 0.0}
    assert found["run_batch"]["jobs"] == 1
    assert set(found) == {"infer_couplings", "fetch_structure", "run_batch"}
    assert Journal.read(two).stages["infer_couplings"]["wall"] == 6
