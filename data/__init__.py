"""Covarion's contact with the outside world: alignments, structures, sources, scoring."""
