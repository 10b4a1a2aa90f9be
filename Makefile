# Everything is done by bootstrap.py, which needs Python 3.11 and pip; these are its names.
PYTHON ?= python3

.PHONY: setup demo families train test test-slow test-browser test-slurm screenshots test-faults soak fuzz bench lint

setup demo families train test test-slow test-browser test-slurm screenshots test-faults soak fuzz bench lint:
	@$(PYTHON) bootstrap.py $@
