"""A reader called in a process of its own, whose address space and time are limited."""

import importlib
import multiprocessing
import os
import resource
from multiprocessing.connection import Connection
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["apart", "data.msa", "data.search", "data.structure", "data.foreign", "data.table", "data.remote_search"]
)


def _call(name: str, paths: list, further: list, limit: int, folder: str, connection: Connection) -> None:
    """Say what a reader makes of each path."""
    module, function = name.split(":")
    read = getattr(importlib.import_module(module), function)
    importlib.import_module("data.mapping")  # what a reader imports late counts as the base
    os.chdir(folder)
    base = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (base + limit, base + limit))
    resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
    for path in paths:
        try:
            found = read(path, *further)
            said = {"kind": "", "said": str(found)[:200]}
        except Exception as error:
            ours = any(kind.__name__ == "CovarionError" for kind in type(error).__mro__)
            said = {"kind": ("" if ours else "NOT OURS: ") + type(error).__name__, "said": str(error)}
        status = Path("/proc/self/status").read_text()
        said["peak_mb"] = int(status.split("VmHWM:")[1].split()[0]) // 1024
        said["cpu"] = sum(os.times()[:2])
        connection.send(said)
    connection.close()


def call_apart(
    name: str, paths: list, further: list, more_mb: int, folder: str, seconds: float
) -> list[dict]:
    """What a reader says of each path in a process that may take `more_mb` beyond its imports.

    Each answer has ``kind`` (class of the error, empty where it returned), ``said``, ``peak_mb`` and ``cpu``
    (seconds so far); fewer answers than paths where the process was killed, or nothing came for `seconds`.
    """
    receiver, sender = CONTEXT.Pipe(duplex=False)
    arguments = (name, paths, further, more_mb * 2**20, folder, sender)
    process = CONTEXT.Process(target=_call, args=arguments, daemon=True)
    process.start()
    sender.close()
    answers = []
    try:
        while len(answers) < len(paths) and receiver.poll(seconds):
            answers.append(receiver.recv())
    except EOFError:
        pass
    finally:
        process.kill()
        process.join()
    return answers
