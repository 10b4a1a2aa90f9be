"""The few exceptions of Covarion: each names the file, the place in it, the value and the remedy."""


class CovarionError(Exception):
    """A failure that a user can understand and mend.

    Parameters
    ----------
    problem : str
        What is wrong, in one sentence.
    file : str
        Path or URL that it was found in.
    place : str
        Line, row, column or residue, where one is known.
    value : str
        The offending value as it was read.
    remedy : str
        What to do about it.
    """

    def __init__(
        self, problem: str, *, file: object = "", place: str = "", value: object = "", remedy: str = ""
    ):
        self.problem = problem
        self.file = str(file)
        self.place = place
        self.value = str(value)
        self.remedy = remedy
        super().__init__(self._message())

    def _message(self) -> str:
        where = ", ".join(part for part in (self.file, self.place) if part)
        parts = [f"{where}: {self.problem}" if where else self.problem]
        if self.value:
            parts.append(f"found: {self.value}")
        if self.remedy:
            parts.append(f"remedy: {self.remedy}")
        return "; ".join(parts)

    def as_dict(self) -> dict[str, str]:
        """Fields of the error for ``failure.json``."""
        return {
            "kind": type(self).__name__,
            "problem": self.problem,
            "file": self.file,
            "place": self.place,
            "value": self.value,
            "remedy": self.remedy,
        }


class AlignmentError(CovarionError):
    """An alignment that cannot be read or used."""


class StructureError(CovarionError):
    """A structure file that cannot be read, or a chain that is not in it."""


class MappingError(CovarionError):
    """A query that does not match its structure."""


class FetchError(CovarionError):
    """A source that did not deliver, or delivered something else."""


class TableError(CovarionError):
    """A protein table with wrong rows; the message lists all of them."""


class ConfigError(CovarionError):
    """A configuration that breaks its schema."""


class MemoryLimitError(CovarionError):
    """A run that needs more memory than there is."""


class MapError(CovarionError):
    """A score map or refiner checkpoint that cannot be used."""


class TrainingStopped(CovarionError):
    """A training run that saved its state before its last step; run again, it goes on from there."""
