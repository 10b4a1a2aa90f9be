"""A folder that runs share: what was downloaded, and whose turn it is to ask.

``objects/`` holds files by their SHA-256, ``index/`` what address gave which, ``partial/`` what is on its
way, ``locks/`` who asks whom. Locks are files, so that they hold between the jobs of a run and between runs;
a job that is killed lets go of them.
"""

import atexit
import contextlib
import functools
import logging
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from data.errors import CovarionError
from data.store import atomic_path, load_json, save_json, sha256

log = logging.getLogger(__name__)

_LONGEST_TURN = 3600.0  # a turn further away than this was written by a clock that was wrong


@functools.cache
def _own_locks() -> Path:
    """Folder of locks for a process that shares nothing, gone when it ends."""
    folder = tempfile.mkdtemp(prefix="covarion-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def known_json(path: Path) -> dict[str, Any]:
    """A JSON object of the cache; empty where the file is no longer what was written."""
    try:
        content = load_json(path)
    except CovarionError:
        return {}
    return content if isinstance(content, dict) else {}


class Locks:
    """A folder of locks between processes."""

    def __init__(self, cache: Path | None):
        self.folder = Path(cache) / "locks" if cache else _own_locks()
        self.folder.mkdir(parents=True, exist_ok=True)

    def lock(self, name: str, timeout: float = -1) -> FileLock:
        """A lock by name."""
        return FileLock(self.folder / f"{name}.lock", timeout=timeout)


class Cache:
    """The places of one address in a cache folder."""

    def __init__(self, folder: Path, key: str, locks: Locks):
        self.folder, self.key, self.locks = Path(folder), key, locks
        self.index = self.folder / "index" / f"{key}.json"
        self.partial = self.folder / "partial" / key
        self.state = self.folder / "partial" / f"{key}.json"
        for name in ("index", "objects", "partial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def _object(self, digest: str) -> Path:
        return self.folder / "objects" / digest[:2] / digest

    def take(self, path: Path) -> dict[str, Any] | None:
        """Copy what the cache holds to `path`; None where it is not there, or no longer what it was."""
        if not self.index.exists():
            return None
        entry = known_json(self.index)
        if not re.fullmatch("[0-9a-f]{64}", str(entry.get("sha256", ""))) or not {
            "bytes",
            "url",
            "time",
        } <= set(entry):
            log.warning("%s is no longer what was written: its download is fetched again", self.index)
            return None
        kept = self._object(entry["sha256"])
        if not kept.exists() or kept.stat().st_size != entry["bytes"] or sha256(kept) != entry["sha256"]:
            log.warning("the cache no longer holds %s as it came: it is fetched again", entry["url"])
            return None
        with atomic_path(path) as temporary:
            shutil.copyfile(kept, temporary)
        return {key: value for key, value in entry.items() if key != "url"}

    def keep(self, url: str, path: Path) -> dict[str, Any]:
        """Move the whole download to its place and copy it to `path`."""
        state = known_json(self.state) if self.state.exists() else {}
        digest = sha256(self.partial)
        kept = self._object(digest)
        kept.parent.mkdir(exist_ok=True)
        size = self.partial.stat().st_size
        self.partial.replace(kept)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        said = {name: state[name] for name in ("etag", "modified", "release") if state.get(name)}
        save_json(self.index, {"url": url, "sha256": digest, "bytes": size, "time": now, **said})
        self.state.unlink(missing_ok=True)
        found = self.take(path)
        assert found is not None
        return found

    def forget_partial(self) -> None:
        """Begin anew the next time."""
        self.partial.unlink(missing_ok=True)
        self.state.unlink(missing_ok=True)


@contextlib.contextmanager
def slot(locks: Locks, host: str, slots: int) -> Iterator[None]:
    """Hold one of a host's slots."""
    while True:
        for number in range(slots):
            try:
                with locks.lock(f"{host}.{number}", timeout=0):
                    yield
                    return
            except Timeout:
                continue
        time.sleep(0.05)


def wait_turn(locks: Locks, host: str, pause: float, ask: bool = True) -> None:
    """Book the host's next turn, `pause` after the one before, and wait for it; not to ask only books."""
    path = locks.folder / f"{host}.next"
    with locks.lock(f"{host}.turn"):
        now = time.time()
        turn = now
        with contextlib.suppress(OSError, ValueError):
            turn = max(now, float(path.read_text()))
        if turn - now > _LONGEST_TURN:
            turn = now
        with atomic_path(path) as temporary:
            temporary.write_text(repr(turn + pause if ask else max(turn, now + pause)))
    if ask and turn > now:
        time.sleep(turn - now)
