"""The rules of the layout: the core knows no plug-in, everything is packaged, and ``snncc --help`` loads nothing heavy."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PLUGINS = ("passes", "targets", "models")
HEAVY = ("torch", "numba", "onnx", "onnxruntime", "matplotlib", "h5py", "nir", "scipy", "lava", "pandas")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of every import in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write the full name"
            module = node.module or ""
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def sources(folder: str) -> list[Path]:
    return sorted(p for p in (ROOT / folder).rglob("*.py") if "__pycache__" not in p.parts)


def offenders(folder: str, forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sources(folder)
        for line, module in imported(path)
        if any(module == f or module.startswith(f + ".") for f in forbidden)
    ]


def test_the_core_imports_no_plug_in() -> None:
    assert len(sources("snncc")) > 20
    assert offenders("snncc", tuple(f"snncc.{p}" for p in PLUGINS)) == []


@pytest.mark.parametrize("layer", ["ir", "program"])
def test_the_inner_layers_import_no_outer_ones(layer: str) -> None:
    outer = ("cli", "report", "energy", "frontends", "data", "pipeline", "target", "compiler", "registry")
    assert offenders(f"snncc/{layer}", tuple(f"snncc.{name}" for name in outer)) == []


def test_the_passes_know_no_target() -> None:
    assert offenders("passes", ("snncc.targets", "snncc.models", "snncc.cli")) == []
    assert offenders("targets", ("snncc.models", "snncc.cli")) == []
    assert offenders("models", ("snncc.targets", "snncc.passes", "snncc.cli")) == []


def test_only_the_command_line_prints() -> None:
    """What runs outside of snncc (the package emitted for Lava) may print too."""
    allowed = ("snncc/cli/", "targets/loihi_sim/package/")
    found = []
    for path in (p for folder in ("snncc", *PLUGINS) for p in sources(folder)):
        name = path.relative_to(ROOT).as_posix()
        calls = (n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call))
        if not name.startswith(allowed):
            found += [f"{name}:{c.lineno}" for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]
    assert found == []


def package_of(folder: Path) -> str:
    parts = folder.relative_to(ROOT).parts
    return ".".join(parts if parts[0] == "snncc" else ("snncc", *parts))


def test_every_package_folder_is_listed() -> None:
    """Each folder with an ``__init__.py``, but for what is only carried along as data."""
    tools = PROJECT["tool"]["setuptools"]
    folders = {p.parent for folder in ("snncc", *PLUGINS) for p in sources(folder) if p.name == "__init__.py"}
    packages = {package_of(f) for f in folders if "package" not in f.relative_to(ROOT).parts}
    assert packages == set(tools["packages"])


def carried(package: str, file: str) -> bool:
    patterns = PROJECT["tool"]["setuptools"]["package-data"].get(package, [])
    return any(fnmatch(file, pattern.replace("**/", "*").replace("**", "*")) for pattern in patterns)


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "snncc", *PLUGINS], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("this is no git checkout, so what belongs to the source tree is not known")
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def test_every_file_travels_in_a_wheel() -> None:
    """A file is a module of a listed package, or package data of the nearest one."""
    packages = set(PROJECT["tool"]["setuptools"]["packages"])
    missing = []
    for path in tracked():
        home = path.parent
        if package_of(home) in packages and path.suffix == ".py":
            continue
        while package_of(home) not in packages:
            home = home.parent
        if not carried(package_of(home), path.relative_to(home).as_posix()):
            missing.append(path.relative_to(ROOT).as_posix())
    assert missing == []


ENTRIES = [
    (group, name, value)
    for group, entries in PROJECT["project"]["entry-points"].items()
    for name, value in entries.items()
] + [("scripts", name, value) for name, value in PROJECT["project"]["scripts"].items()]


@pytest.mark.parametrize(("group", "name", "value"), ENTRIES)
def test_entry_points_lead_somewhere(group: str, name: str, value: str) -> None:
    module, _, attribute = value.partition(":")
    found: Any = importlib.import_module(module)
    found = getattr(found, attribute) if attribute else found
    kind = {"snncc.targets": "Target", "snncc.frontends": "Frontend"}.get(group)
    if kind is not None:
        assert type(found).__name__ == kind and found.name == name
    if group == "snncc.passes":
        assert found.name == name
    if group == "snncc.models":
        assert isinstance(found, Mapping) and found


def test_every_pass_file_is_an_entry_point() -> None:
    """Each class in passes/ that has ``requires`` and ``ensures``."""
    classes = {
        f"{package_of(p.parent)}.{p.stem}:{node.name}"
        for p in sources("passes")
        for node in ast.walk(ast.parse(p.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and "ensures" in ast.unparse(node)
    }
    assert classes == set(PROJECT["project"]["entry-points"]["snncc.passes"].values())


def modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nsys.stderr.write(' '.join(sys.modules))"
    made = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stderr
    return {name.split(".")[0] for name in made.stderr.split()}


@pytest.mark.parametrize("arguments", [["--help"], ["compile", "--help"], ["run", "--help"], ["targets"], ["passes"]])
def test_the_command_line_starts_light(arguments: list[str]) -> None:
    code = (
        "from snncc.cli.main import cli\n"
        f"try:\n    cli({arguments!r}, prog_name='snncc', standalone_mode=False)\n"
        "except SystemExit as end:\n    assert not end.code"
    )
    assert modules_after(code) & set(HEAVY) == set()


def test_importing_a_core_module_does_no_heavy_import() -> None:
    """All of the core but the verbs, plus the targets that ``snncc targets`` lists."""
    names = [
        f"{package_of(p.parent)}.{p.stem}".removesuffix(".__init__")
        for p in sources("snncc")
        if p.stem != "__main__" and "frontends" not in p.parts
    ]
    code = "import importlib\n" + "\n".join(
        f"importlib.import_module({n!r})" for n in [*names, "snncc.targets.fixed_sim"]
    )
    assert modules_after(code) & set(HEAVY) == set()
