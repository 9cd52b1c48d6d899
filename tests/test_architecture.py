"""The rooms of the house: imports point to a lower level or stay inside one folder; no cycles.

The syntax trees are walked, so imports inside functions count as well. ``seqlab/__init__.py``
names its lazy attributes for type checkers only; it imports nothing when it runs.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import seqlab

PACKAGE = Path(seqlab.__file__).parent

LEVELS = {
    "__init__": 0,
    "errors": 0,
    "contracts": 0,
    "lengths": 0,
    "metrics": 0,
    "detection": 0,
    "events": 0,
    "intervals": 0,
    "checks": 0,
    "compiled": 0,
    "values": 0,
    "audio_file": 0,
    "audio_pipe": 0,
    "image_lines": 0,
    "components": 1,
    "audio": 1,
    "plot": 1,
    "cost": 1,
    "frontend": 1,
    "text": 1,
    "blocks": 1,
    "lm": 1,
    "encoders": 2,
    "heads": 2,
    "decoding": 2,
    "deploy": 3,
    "data": 2,
    "pronunciation": 2,
    "recordings": 2,
    "saving": 1,
    "assembly": 3,
    "model": 4,
    "training": 5,
    "inference": 5,
    "export": 6,
    "recipe_file": 1,
    "recipe_schema": 4,
    "recipe_parts": 4,
    "recipe": 6,
    "cli": 7,
}
ONLY_IN = {
    "lhotse": "seqlab.data.",
    "accelerate": "seqlab.training.",
    "jsonargparse": "seqlab.recipe",
}


def module_name(path: Path, package: Path) -> str:
    """``seqlab.frontend.mel`` of a file; a package is its ``__init__``."""
    return ".".join([package.name, *path.relative_to(package).with_suffix("").parts])


def module_files(package: Path) -> dict[str, Path]:
    return {module_name(path, package): path for path in sorted(package.rglob("*.py"))}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def statements(tree: ast.AST, skip_type_checking: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if skip_type_checking and is_type_checking(node):
            continue
        yield node
        yield from statements(node, skip_type_checking)


def imported_names(name: str, path: Path) -> set[str]:
    """Everything that a module imports, as absolute dotted names."""
    found: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in statements(tree, skip_type_checking=name == "seqlab.__init__"):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")[: -node.level]
                base = ".".join([*parts, base]) if base else ".".join(parts)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def import_graph(package: Path) -> dict[str, set[str]]:
    """Module to the modules of the package that it imports."""
    files = module_files(package)
    graph = {}
    for name, path in files.items():
        targets = set()
        for imported in imported_names(name, path):
            for candidate in (
                imported,
                f"{imported}.__init__",
                imported.rpartition(".")[0],
                f"{imported.rpartition('.')[0]}.__init__",
            ):
                if candidate in files and candidate != name:
                    targets.add(candidate)
                    break
        graph[name] = targets
    return graph


def room(name: str) -> str:
    return name.split(".")[1]


def upward_imports(graph: dict[str, set[str]]) -> list[str]:
    found = []
    for name, targets in graph.items():
        for target in targets:
            if "__init__" in (room(name), room(target)) and name != "seqlab.__init__":
                continue  # the version, and lazy names
            level, below = LEVELS[room(name)], LEVELS[room(target)]
            inside = room(name) == room(target)
            if not (below < level or inside or level == below == 0):
                found.append(f"{name} (level {level}) imports {target} (level {below})")
    return found


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """The modules of one import cycle, or an empty list."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for target in sorted(graph[name]):
            if found := visit(target, [*path, name]):
                return found
        done.add(name)
        return []

    return next((found for name in graph if (found := visit(name, []))), [])


def test_every_module_has_a_level() -> None:
    missing = {room(name) for name in module_files(PACKAGE)} - LEVELS.keys()
    assert not missing, f"give these rooms a level in LEVELS: {sorted(missing)}"


def test_imports_point_downwards() -> None:
    assert upward_imports(import_graph(PACKAGE)) == []


def test_no_import_cycle() -> None:
    assert cycle(import_graph(PACKAGE)) == []


@pytest.mark.parametrize("library", ONLY_IN)
def test_library_stays_in_its_room(library: str) -> None:
    strays = [
        name
        for name, path in module_files(PACKAGE).items()
        if any(imported.split(".")[0] == library for imported in imported_names(name, path))
        and not name.startswith(ONLY_IN[library])
    ]
    assert strays == []


def test_imports_are_declared() -> None:
    """No third-party package is imported that pyproject.toml does not install."""
    import tomllib

    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    listed = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["all"]
    for extra in ("synth", "distributed", "microphone"):
        listed += project["project"]["optional-dependencies"][extra]
    declared = {
        entry.split("[")[0].split(">")[0].split("=")[0].strip().replace("-", "_").lower()
        for entry in listed
    } | {"yaml", "seqlab", "pil"}
    undeclared = {
        f"{name}: {imported}"
        for name, path in module_files(PACKAGE).items()
        for imported in imported_names(name, path)
        if (top := imported.split(".")[0]) not in sys.stdlib_module_names
        and top.lower() not in declared
    }
    assert undeclared == set()


def plant(folder: Path, **files: str) -> dict[str, set[str]]:
    package = folder / "seqlab"
    for name, source in files.items():
        path = package / f"{name.replace('__in__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return import_graph(package)


@pytest.mark.parametrize(
    "source",
    [
        "from seqlab.model import SpeechModel",
        "import seqlab.model",
        "def f():\n    from seqlab import model",
        "from ..model import SpeechModel",
        "if True:\n    import seqlab.model as m",
    ],
)
def test_planted_upward_import_is_caught(tmp_path: Path, source: str) -> None:
    graph = plant(tmp_path, model="", frontend__in__mel=source)
    assert upward_imports(graph) == ["seqlab.frontend.mel (level 1) imports seqlab.model (level 4)"]


def test_planted_import_between_rooms_of_one_level_is_caught(tmp_path: Path) -> None:
    graph = plant(tmp_path, encoders__in__a="import seqlab.heads.b", heads__in__b="")
    assert len(upward_imports(graph)) == 1


def test_planted_cycle_is_caught(tmp_path: Path) -> None:
    graph = plant(
        tmp_path,
        text__in__a="from seqlab.text import b",
        text__in__b="def f():\n    import seqlab.text.c",
        text__in__c="from .a import x",
    )
    assert upward_imports(graph) == []
    assert set(cycle(graph)) == {"seqlab.text.a", "seqlab.text.b", "seqlab.text.c"}


def test_import_within_a_room_and_downwards_is_allowed(tmp_path: Path) -> None:
    graph = plant(
        tmp_path, errors="", text__in__a="import seqlab.errors\nfrom . import b", text__in__b=""
    )
    assert graph["seqlab.text.a"] == {"seqlab.errors", "seqlab.text.b"}
    assert upward_imports(graph) == []
    assert cycle(graph) == []
