"""Downloads against a real server: faults, resuming, the shared cache, the pace, a killed process."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from faults import FAULTS, check
from web_fixtures import PROXIES, Answer, web

from data.client import Network, download
from data.errors import FetchError
from data.registry import Source

__all__ = ["web"]

ROOT = Path(__file__).resolve().parent.parent
SOURCE = Source("there", ("alignment",), r"\d+", "there:1", base="http://127.0.0.1", pause=0.001)
BODY = bytes(random.Random(0).randbytes(200_000))


def get(web, tmp_path, path="/file", check=lambda path: None, source=SOURCE, **settings):
    settings = {"cache": tmp_path / "cache", "first_wait": 0.01, "timeout": 5.0} | settings
    return download(f"{web.url}{path}", tmp_path / "out", source, "there:1", Network(**settings), check)


def test_a_file_arrives_once_and_is_kept(web, tmp_path):
    web.answers["/file"] = [Answer(body=BODY, headers={"ETag": '"v1"', "Last-Modified": "yesterday"})]
    said = get(web, tmp_path)
    assert (tmp_path / "out").read_bytes() == BODY
    assert said["sha256"] == hashlib.sha256(BODY).hexdigest()
    assert (said["bytes"], said["etag"], said["modified"]) == (len(BODY), '"v1"', "yesterday")
    (tmp_path / "out").unlink()
    assert get(web, tmp_path) == said  # with the time of the download
    assert get(web, tmp_path, offline=True) == said
    assert (tmp_path / "out").read_bytes() == BODY
    assert len(web.requests) == 1
    assert list((tmp_path / "cache" / "partial").iterdir()) == []


def test_every_byte_that_came_before_a_cut_is_kept(web, tmp_path):
    body, headers = BODY[:50_000], {"ETag": '"v1"'}
    web.answers["/file"] = [
        Answer(body=body, headers=headers, ranges=True, cut=15_000),
        Answer(body=body, headers=headers, ranges=True),
    ]
    get(web, tmp_path)
    assert (tmp_path / "out").read_bytes() == body
    assert [asked.get("Range") for _, _, asked in web.requests] == [None, "bytes=15000-"]


def test_offline_without_the_file(web, tmp_path):
    with pytest.raises(
        FetchError, match=r"offline, and this is not in the cache; found: there:1 .*offline: false"
    ):
        get(web, tmp_path, offline=True)
    assert not web.requests


def test_without_a_cache_nothing_is_kept(web, tmp_path):
    web.answers["/file"] = [Answer(body=BODY)]
    get(web, tmp_path, cache=None)
    get(web, tmp_path, cache=None)
    assert len(web.requests) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_damaged_cache_is_not_trusted(web, tmp_path):
    web.answers["/file"] = [Answer(body=BODY)]
    said = get(web, tmp_path)
    kept = tmp_path / "cache" / "objects" / said["sha256"][:2] / said["sha256"]
    kept.write_bytes(BODY[:-1] + b"x")
    get(web, tmp_path)
    assert (tmp_path / "out").read_bytes() == kept.read_bytes() == BODY
    assert len(web.requests) == 2


def test_a_broken_download_goes_on_where_it_stopped(web, tmp_path):
    tag = {"ETag": '"v1"'}
    web.answers["/file"] = [
        Answer(body=BODY, headers=tag, cut=150_000),
        Answer(body=BODY, headers=tag, ranges=True),
    ]
    get(web, tmp_path)
    assert (tmp_path / "out").read_bytes() == BODY
    asked = web.requests[1][2]
    assert asked["If-Range"] == '"v1"'
    assert 0 < int(asked["Range"].removeprefix("bytes=").rstrip("-")) <= 150_000


def test_a_file_that_changed_in_between_begins_anew(web, tmp_path):
    new = BODY[::-1]
    web.answers["/file"] = [
        Answer(body=BODY, headers={"ETag": '"v1"'}, cut=150_000),
        Answer(body=new, headers={"ETag": '"v2"'}, ranges=True),
    ]
    assert get(web, tmp_path)["etag"] == '"v2"'
    assert (tmp_path / "out").read_bytes() == new


def test_no_resuming_without_a_mark_of_the_version(web, tmp_path):
    web.answers["/file"] = [Answer(body=BODY, cut=150_000), Answer(body=BODY, ranges=True)]
    get(web, tmp_path)
    assert "Range" not in web.requests[1][2]
    assert (tmp_path / "out").read_bytes() == BODY


def test_a_partial_file_longer_than_the_whole_begins_anew(web, tmp_path):
    tag = {"ETag": '"v1"'}
    web.answers["/file"] = [
        Answer(body=BODY, headers=tag, cut=150_000),
        Answer(body=BODY[:100], headers=tag, ranges=True),
    ]
    get(web, tmp_path)
    assert (tmp_path / "out").read_bytes() == BODY[:100]
    assert len(web.requests) == 3


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_faults(tmp_path, monkeypatch, fault):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    check(fault, tmp_path)


def test_what_the_check_refuses_is_not_kept(web, tmp_path):
    def check(path):
        if path.read_bytes() == b"<html>":
            raise FetchError("what arrived is no alignment")

    web.answers["/file"] = [Answer(body=b"<html>"), Answer(body=BODY)]
    with pytest.raises(FetchError, match="no alignment"):
        get(web, tmp_path, check=check)
    get(web, tmp_path, check=check)
    assert (tmp_path / "out").read_bytes() == BODY


def test_everyone_waits_where_a_server_asks_for_it(web, tmp_path):
    web.answers["/busy"] = [Answer(429, headers={"Retry-After": "1"}), Answer(body=BODY)]
    web.answers["/file"] = [Answer(body=BODY)]
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(get, web, tmp_path, "/busy")
        while not web.requests:
            time.sleep(0.01)
        time.sleep(0.1)
        download(
            f"{web.url}/file",
            tmp_path / "other",
            SOURCE,
            "there:2",
            Network(cache=tmp_path / "cache"),
            lambda path: None,
        )
        busy.result()
    times = [moment for moment, _, _ in web.requests]
    assert times[1] - times[0] > 0.9


def test_the_same_address_is_asked_for_once(web, tmp_path):
    web.answers["/file"] = [Answer(body=BODY, stall=0.2)]

    def one(number):
        network = Network(cache=tmp_path / "cache")
        download(f"{web.url}/file", tmp_path / str(number), SOURCE, "there:1", network, lambda path: None)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))
    assert len(web.requests) == 1
    assert all((tmp_path / str(number)).read_bytes() == BODY for number in range(8))


CHILD = """
import sys
from pathlib import Path
from data.client import Network, download
from data.registry import Source
url, cache, out, first, last, pause = sys.argv[1:]
source = Source("there", ("alignment",), "x", "there:1", base="http://127.0.0.1", pause=float(pause))
network = Network(cache=Path(cache), first_wait=0.05)
for number in range(int(first), int(last)):
    download(f"{url}/{number}", Path(out, str(number)), source, "there:1", network, lambda path: None)
"""


def child(web, tmp_path, first, last, pause):
    arguments = [web.url, str(tmp_path / "cache"), str(tmp_path), str(first), str(last), str(pause)]
    return subprocess.Popen([sys.executable, "-c", CHILD, *arguments], cwd=ROOT)


def keep_rate(web, files, rate, processes, tmp_path):
    """Fetch from a server that refuses more than `rate` requests within a second; the times it was asked."""
    taken = []

    def limited(path):
        now = time.monotonic()
        taken.append(now)
        recent = [moment for moment in taken if now - moment < 1.0]
        return Answer(429) if len(recent) > rate else Answer(body=BODY + path.encode())

    web.answers = dict.fromkeys((f"/{number}" for number in range(files)), limited)
    share = files // processes
    # A little slower than allowed: requests that leave at an even pace do not arrive so
    running = [child(web, tmp_path, k * share, (k + 1) * share, 1.3 / rate) for k in range(processes)]
    assert [process.wait(timeout=60) for process in running] == [0] * processes
    for number in range(files):
        assert (tmp_path / str(number)).read_bytes() == BODY + f"/{number}".encode()
    return taken


def test_processes_keep_the_pace_together(web, tmp_path):
    taken = keep_rate(web, 24, 20, 4, tmp_path)
    assert (
        len(taken) <= 24 + 2
    )  # on a busy machine some arrive late, and the next too early: hardly any is refused
    assert max(taken) - min(taken) > 23 * 1 / 20


@pytest.mark.slow
def test_64_fetches_from_a_server_that_answers_10_a_second(web, tmp_path):
    taken = keep_rate(web, 64, 10, 16, tmp_path)
    assert len(taken) <= 64 + 6


@pytest.mark.parametrize("attempt", range(int(os.environ.get("SOAK", 3))))
def test_a_killed_process_leaves_nothing_half_written(web, tmp_path, attempt):
    seed = random.randrange(10**6)
    sys.stdout.write(f"seed {seed}\n")  # shown where it fails
    tag = {"ETag": '"v1"'}
    web.answers["/0"] = [
        Answer(body=BODY, headers=tag, stall=0.6, ranges=True),
        Answer(body=BODY, headers=tag, ranges=True),
    ]
    process = child(web, tmp_path, 0, 1, 0.001)
    while not web.requests and process.poll() is None:
        time.sleep(0.005)
    time.sleep(random.Random(seed).uniform(0, 0.7))
    process.send_signal(signal.SIGKILL)
    process.wait()
    out = tmp_path / "0"
    assert not out.exists() or out.read_bytes() == BODY
    assert child(web, tmp_path, 0, 1, 0.001).wait(timeout=30) == 0
    assert out.read_bytes() == BODY
