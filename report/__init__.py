"""What a person reads: figures, the page of a protein, the overview of a run, exports."""
