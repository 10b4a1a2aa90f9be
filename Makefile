# Everything is done by bootstrap.py, which needs Python 3.11 and pip; these are its names.
PYTHON ?= python3

.PHONY: setup demo families train test test-slow test-browser bench lint

setup demo families train test test-slow test-browser bench lint:
	@$(PYTHON) bootstrap.py $@
