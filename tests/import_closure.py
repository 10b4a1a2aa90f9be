"""Packages from elsewhere that a script of the workflow imports, also in functions that it reaches."""

import ast
import sys

from workflow_fixtures import ROOT

OURS = {"data", "dca", "nets", "report", "workflow"}
STAGES = ROOT / "workflow" / "stages.py"  # each of its functions loads what it needs by itself


def module_file(name):
    place = ROOT.joinpath(*name.split("."))
    found = [path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()]
    return found[0] if found else None


def imported(node):
    """Full names of the modules that are imported anywhere in a piece of code."""
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            yield from (alias.name for alias in part.names)
        elif isinstance(part, ast.ImportFrom):
            assert part.level == 0
            for alias in part.names:
                full = f"{part.module}.{alias.name}"
                yield full if part.module.split(".")[0] in OURS and module_file(full) else part.module


def names_in(node):
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def stages_of(script):
    """The functions of `workflow.stages` that a script calls, and those that they call."""
    tree = ast.parse(STAGES.read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    reached, names = {}, names_in(script)
    while names:
        name = names.pop()
        if name in functions and name not in reached:
            reached[name] = functions[name]
            names |= names_in(functions[name])
    return list(reached.values())


def packages(path):
    """Top-level names of the packages from elsewhere behind a script."""
    script = ast.parse(path.read_text())
    names = [name for node in (script, *stages_of(script)) for name in imported(node)]
    found, seen = set(), {STAGES}
    while names:
        name = names.pop()
        top = name.split(".")[0]
        if top not in OURS:
            found |= {top} - sys.stdlib_module_names
        elif (file := module_file(name)) and file not in seen:
            seen.add(file)
            names += imported(ast.parse(file.read_text()))
    return found
