"""Who may import whom, who opens sockets, and the sizes that keep the code readable."""

import ast
from pathlib import Path

import pytest
from import_closure import imported

from dca.loading import _MACHINERY

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "data": set(),
    "dca": {"data"},
    "nets": {"data"},
    "report": {"data"},
    "workflow": {"data", "dca", "nets", "report"},
}
MAY_IMPORT_DCA = {
    f"nets/{name}.py"
    for name in (
        "features",
        "device_features",
        "experts",
        "memory",
        "chain",
        "convolution",
        "stream",
        "__main__",
    )
}
ONLY_IN = {
    "httpx": {"data/client.py"},
    "pyhmmer": {"data/jackhmmer.py", "data/homology.py"},
    "tenacity": {"data/client.py"},
    "torch": {"nets/", "dca/device.py"},
    "numba": {"dca/compiling.py", "dca/space_llvm.py", "dca/tile_llvm.py", "dca/vector_llvm.py"},
    "llvmlite": {
        *(
            "dca/loading.py",
            "dca/compiling.py",
            "dca/lanes_llvm.py",
            "dca/tile_llvm.py",
            "dca/vector_llvm.py",
        ),
    },
    "gemmi": {
        *("data/structure.py", "data/structure_file.py", "data/assembly.py", "data/header_places.py"),
        *("data/models.py", "data/numbering.py", "data/backbone.py"),
    },
    "mdtraj": {"data/backbone.py"},
    "Bio": {"data/structure.py", "data/mapping.py"},
}


def modules():
    return sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))


def imports(path):
    """Top-level names of the packages that a module imports, wherever in it."""
    return {name.split(".")[0] for name in imported(ast.parse(path.read_text()))}


def relative(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_imports_follow_the_design(path):
    package = relative(path).split("/")[0]
    allowed = PACKAGES[package] | {package}
    if relative(path) in MAY_IMPORT_DCA:
        allowed = allowed | {"dca"}
    for name in imports(path):
        assert name not in PACKAGES or name in allowed, f"{relative(path)} imports {name}"
        places = ONLY_IN.get(name)
        assert places is None or any(relative(path).startswith(place) for place in places), name


@pytest.mark.parametrize("name", ["data", "dca", "nets", "report"])
def test_packages_import_nothing_heavy(name):
    assert not list(imports(ROOT / name / "__init__.py"))


def functions():
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                docstring = ast.get_docstring(node, clean=False)
                lines = node.end_lineno - node.lineno + 1
                yield path, node, lines - (docstring.count("\n") + 1 if docstring else 0)


def test_files_and_functions_stay_small():
    long_files = [relative(p) for p in modules() if len(p.read_text().splitlines()) > 400]
    long_functions = [f"{relative(p)}:{node.name}" for p, node, lines in functions() if lines > 60]
    assert long_files == []
    assert long_functions == []


def public(path):
    """Public functions and methods of a module, those inside functions left out."""
    tree = ast.parse(path.read_text())
    for node in [*tree.body, *(part for c in tree.body if isinstance(c, ast.ClassDef) for part in c.body)]:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


def test_public_functions_say_what_they_do():
    silent = [
        f"{relative(path)}:{node.name}"
        for path in modules()
        for node in public(path)
        if not ast.get_docstring(node)
    ]
    assert silent == []


def test_adapters_and_rules_stay_thin():
    scripts = sorted((ROOT / "workflow" / "scripts").glob("*.py"))
    assert [s.name for s in scripts if len(s.read_text().splitlines()) > 25] == []
    rules = set()
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        rules |= {
            line.split()[1].rstrip(":") for line in path.read_text().splitlines() if line[:5] == "rule "
        }
    assert {s.stem for s in scripts} <= rules
    assert len((ROOT / "Snakefile").read_text().splitlines()) <= 60


def test_kernels_are_compiled_anew_after_an_edit_of_what_compiles_them():
    compile_them = {Path(path).stem for path in ONLY_IN["numba"] | ONLY_IN["llvmlite"]}
    assert compile_them <= set(_MACHINERY)
    assert all((ROOT / "dca" / f"{name}.py").exists() for name in _MACHINERY)
