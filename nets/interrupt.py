"""Signals that ask a training run to save its state and end: SIGTERM and SIGUSR1.

Batch systems send one of them some time before they kill a job (Slurm: ``--signal=USR1@120``, and SIGTERM at
the limit).
"""

import logging
import signal
import threading
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

logger = logging.getLogger(__name__)


class Interrupt:
    """While it is entered, the signals are noted instead of ending the process.

    In a thread other than the main one nothing is caught: Python gives signals to the main thread alone.

    Attributes
    ----------
    name : str
        Name of the first signal that came, empty before.
    """

    def __init__(self) -> None:
        self.name = ""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _note(self, number: int, frame: object) -> None:
        self.name = self.name or signal.Signals(number).name
