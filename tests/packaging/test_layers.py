"""Imports go one way: values, parts, plans, engine, session, command line."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

VALUES = frozenset(
    {
        *("__init__", "errors", "model", "findings", "quantities"),
        *("printable", "slugs", "timestamps", "distribution"),
    }
)
PARTS = frozenset(
    {
        *("documents", "validation", "expressions", "secrets", "ports", "kinds"),
        *("keys", "events", "event_lines", "event_bus", "hookspecs", "registry"),
        *("processes", "companions", "locations", "journal", "results", "reports"),
        *("story", "run_folder", "case_logs", "host_memory", "ownership"),
    }
)
PLANS = frozenset({"planning", "configuration", "doctor"})
LAYERS: tuple[frozenset[str], ...] = (
    VALUES,
    PARTS,
    PLANS,
    frozenset({"engine"}),
    frozenset({"session"}),
    frozenset({"cli", "testing"}),
)
"""Modules and packages of vmsuite; each may import its own layer and those before."""


@dataclass(frozen=True)
class Import:
    """One import statement, wherever in a file it stands."""

    place: str
    importer: str
    """The module that imports, e.g. ``vmsuite.cli.run``."""
    imported: str


def imports_of(folder: Path) -> list[Import]:
    """Return what the Python files below a folder import, each with its place.

    Imports for type checkers only are left out: they cannot make a cycle.
    """
    found = []
    for path in sorted(folder.rglob("*.py")):
        inner = path.relative_to(folder).with_suffix("")
        importer = ".".join(inner.parts).removesuffix(".__init__")
        for line, name in _imported(ast.parse(path.read_text(encoding="utf-8"))):
            place = f"{path.relative_to(folder.parent)}:{line}"
            found.append(Import(place, importer, name))
    return found


def _imported(node: ast.AST) -> Iterator[tuple[int, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((child.lineno, alias.name) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative imports are not used here"
            module = child.module or ""
            deeper = module == "vmsuite"  # its submodules are imported from it
            for alias in child.names:
                yield child.lineno, f"{module}.{alias.name}" if deeper else module
        elif not (
            isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
        ):
            yield from _imported(child)


def part_of(module: str) -> str:
    """Return the first name below vmsuite: ``engine`` of ``vmsuite.engine.case``."""
    names = module.split(".")
    known = frozenset.union(*LAYERS)
    if len(names) < 2 or (names[1].startswith("__") and names[1] not in known):
        return "__init__"
    return names[1]


def layer_of(module: str) -> int:
    """Return a module's layer, or -1 if none is named for it."""
    part = part_of(module)
    return next((n for n, layer in enumerate(LAYERS) if part in layer), -1)


def wrong_directions(imports: Sequence[Import]) -> list[str]:
    """Return what goes against the order of layers."""
    wrong = []
    for found in imports:
        ours = found.imported.split(".")[0]
        if not found.importer.startswith("vmsuite.") and found.importer != "vmsuite":
            continue
        if ours == "vmsuite_plugins":
            wrong.append(f"{found.place}: vmsuite imports {found.imported}")
        if ours != "vmsuite":
            continue
        if layer_of(found.importer) < 0:
            wrong.append(f"{found.place}: {found.importer} is in no layer: add it here")
        elif layer_of(found.imported) > layer_of(found.importer):
            wrong.append(f"{found.place}: {found.importer} imports {found.imported}")
    return wrong


def circles(imports: Sequence[Import]) -> list[str]:
    """Return parts of vmsuite that import each other, directly or not."""
    behind: dict[str, set[str]] = {}
    for found in imports:
        names = [found.importer, found.imported]
        if all(name.split(".")[0] == "vmsuite" for name in names):
            importer, imported = map(part_of, names)
            if "__init__" not in {importer, imported} and importer != imported:
                behind.setdefault(importer, set()).add(imported)
    while leaves := {p for p in behind if not behind[p] & behind.keys()}:
        for leaf in leaves:
            del behind[leaf]
    return sorted(behind)


def foreign_doors(imports: Sequence[Import]) -> list[str]:
    """Return what plugins import of vmsuite that is not for plugins."""
    public = VALUES | PARTS
    return [
        f"{found.place}: plugins may not import {found.imported}"
        for found in imports
        if found.importer.split(".")[0] == "vmsuite_plugins"
        and found.imported.split(".")[0] == "vmsuite"
        and (
            part_of(found.imported) not in public
            or any(name.startswith("_") for name in found.imported.split(".")[1:])
        )
    ]


def suite_knowledge(imports: Sequence[Import]) -> list[str]:
    """Return what wire protocol clients import that knows of suites and machines."""
    allowed = (
        "vmsuite_plugins.protocols",
        "vmsuite_plugins.guests",
        "vmsuite_plugins.agents.",  # the other ends of wires, from the guest
    )
    knowing = ("vmsuite.kinds", "vmsuite.planning", "vmsuite.documents")
    return [
        f"{found.place}: a protocol imports {found.imported}"
        for found in imports
        if found.importer.startswith("vmsuite_plugins.protocols")
        and (
            found.imported.startswith(knowing)
            or (
                found.imported.startswith("vmsuite_plugins")
                and not found.imported.startswith(allowed)
            )
        )
    ]


def test_no_module_of_vmsuite_imports_against_the_layers() -> None:
    assert wrong_directions(imports_of(ROOT / "runner")) == []


def test_no_parts_of_vmsuite_import_each_other_in_a_circle() -> None:
    assert circles(imports_of(ROOT / "runner")) == []


def test_plugins_import_only_what_is_for_plugins() -> None:
    assert foreign_doors(imports_of(ROOT / "plugins")) == []


def test_wire_protocols_know_nothing_of_suites() -> None:
    assert suite_knowledge(imports_of(ROOT / "plugins")) == []


def test_every_layer_names_only_what_exists() -> None:
    package = ROOT / "runner/vmsuite"
    there = {path.stem for path in package.iterdir() if path.name != "__pycache__"}
    assert frozenset.union(*LAYERS) - there == frozenset()


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("vmsuite/model.py", "import vmsuite.engine.case", "imports vmsuite.engine"),
        ("vmsuite/model.py", "from vmsuite import cli", "imports vmsuite.cli"),
        ("vmsuite/engine/a.py", "from vmsuite.session import run", "vmsuite.session"),
        ("vmsuite/cli/a.py", "def f():\n    import vmsuite_plugins.x", "vmsuite_plug"),
        ("vmsuite/novel.py", "from vmsuite.model import Case", "in no layer"),
    ],
)
def test_an_import_against_the_layers_is_found(
    tmp_path: Path, file: str, text: str, complaint: str
) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    (found,) = wrong_directions(imports_of(tmp_path))
    assert complaint in found
    assert found.startswith(f"{tmp_path.name}/{file}:")


def test_a_circle_is_found_and_one_for_type_checkers_is_not(tmp_path: Path) -> None:
    package = tmp_path / "vmsuite"
    package.mkdir()
    (package / "ports.py").write_text("import vmsuite.kinds")
    (package / "kinds.py").write_text("import vmsuite.ports")
    assert circles(imports_of(tmp_path)) == ["kinds", "ports"]
    (package / "kinds.py").write_text("if TYPE_CHECKING:\n    import vmsuite.ports")
    assert circles(imports_of(tmp_path)) == []


@pytest.mark.parametrize(
    "text",
    [
        "import vmsuite.engine",
        "from vmsuite.testing import fake",
        "from vmsuite.ports._inner import x",
    ],
)
def test_a_plugin_that_reaches_inside_is_found(tmp_path: Path, text: str) -> None:
    (tmp_path / "vmsuite_plugins").mkdir()
    (tmp_path / "vmsuite_plugins/a.py").write_text(text)
    assert len(foreign_doors(imports_of(tmp_path))) == 1


def test_a_protocol_that_knows_a_step_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "vmsuite_plugins/protocols"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text("from vmsuite_plugins.steps.run import Run")
    assert len(suite_knowledge(imports_of(tmp_path))) == 1
