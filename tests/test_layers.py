"""The floors of docs/design.md: a module imports only from floors below its own."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "realtime_agent"
ROOT = Path(__file__).parent.parent / PACKAGE

# fmt: off
FLOORS: list[set[str]] = [
    {
        "__init__",
        "addresses",
        "descriptors",
        "driven",
        "errors",
        "lenient",
        "loop_lag",
        "pcm",
        "recent",
        "text",
        "threads",
        "validation",
        "webhook_key",
        "words",
    },
    {"config", "logs", "phrase_setting"},
    {"realtime", "rtc", "audio", "control", "tools"},
    {"bridge"},
    {"agent", "assembly", "call", "call_line", "call_log", "local_model"},
    {"fleet"},
    {"server"},
    {"doctor"},
    {"main", "programs", "testing"},
]
# fmt: on
"""The rooms of the house, ground floor first."""

SAME_FLOOR = {
    ("assembly", "agent"),
    ("call", "call_line"),
    ("call", "call_log"),
    ("call_line", "call_log"),
    ("config", "phrase_setting"),
    ("main", "programs"),
}
"""Neighbours that may import one another, in this direction; no others do."""

NOUNS = "realtime.types"
"""Holds nothing but the words of the protocol, so that rooms beside `realtime` may use them."""

WIRE = {"realtime.events", NOUNS}
"""All that `local_model` shares with the client of the same protocol."""

ALLOWED = {
    "multiprocessing": set(),
    "aiohttp": {
        "server",
        "main",
        "programs",
        "doctor.probe",
        "rtc.server_client",
        "rtc.web_client",
        "local_model.chat",
    },
    "prometheus_client": {"server"},
    "websockets": {
        "server",
        "doctor.probe",
        "realtime.opening",
        "realtime.websocket",
        "rtc.websocket",
        "local_model",
        "testing",
    },
    "agora": {"rtc.agora.sdk"},
    "agora_realtime_ai_api": {"rtc.agora.sdk"},
}
"""Who may import what only some should know."""


def _modules() -> dict[str, ast.Module]:
    """Every module by its name below the package: `control.life`, and a package by its own: `control`."""
    found = {}
    for path in ROOT.rglob("*.py"):
        steps = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(steps[:-1] if len(steps) > 1 and steps[-1] == "__init__" else steps)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = _modules()


def _imported(tree: ast.AST, *, at_import_only: bool = False) -> set[str]:
    """The full names of the modules that a module imports, everywhere or only while it is being imported itself."""
    names: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            assert node.module is not None
            names |= {_module_of(node.module, alias.name) for alias in node.names}
        elif not (at_import_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            names |= _imported(node, at_import_only=at_import_only)
    return names


def _module_of(module: str, name: str) -> str:
    """What `from module import name` imports: a module of ours, or a name in one."""
    if module == PACKAGE:
        return f"{PACKAGE}.{name}" if name in MODULES else f"{PACKAGE}.__init__"
    inside = f"{module}.{name}"
    return inside if inside.removeprefix(f"{PACKAGE}.") in MODULES else module


def _ours(names: set[str]) -> set[str]:
    return {name.removeprefix(f"{PACKAGE}.") for name in names if name.startswith(f"{PACKAGE}.")}


def _room(module: str) -> str:
    return module.split(".")[0]


def _floor(module: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if _room(module) in rooms)


def _may_import(importer: str, imported: str) -> bool:
    here, there = _room(importer), _room(imported)
    if here == there or (here, there) in SAME_FLOOR:
        return True
    if here == "local_model" and there == "realtime":
        return imported in WIRE
    return _floor(imported) < _floor(importer) or imported == NOUNS


IMPORTS = {name: _ours(_imported(tree)) for name, tree in MODULES.items()}


def test_every_room_has_its_floor() -> None:
    rooms = [room for floor in FLOORS for room in floor]
    assert {_room(module) for module in MODULES} <= set(rooms)
    assert len(rooms) == len(set(rooms))


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_from_below_only(module: str) -> None:
    assert {imported for imported in IMPORTS[module] if not _may_import(module, imported)} == set()


def test_the_nouns_that_all_may_use_import_from_the_ground_floor_only() -> None:
    assert {_room(imported) for imported in IMPORTS[NOUNS]} <= FLOORS[0]


def test_the_agent_knows_no_protocol() -> None:
    """Only what any session with a model is, so that one of another protocol can take its place."""
    parts = [imports for name, imports in IMPORTS.items() if _room(name) in ("agent", "bridge")]
    assert {name for name in set().union(*parts) if _room(name) == "realtime"} == {"realtime.session", NOUNS}


def test_only_some_of_control_use_the_nouns_beside_their_own_room() -> None:
    beside = {"rtc", "audio", "control"}
    users = {module for module in MODULES if _room(module) in beside and NOUNS in IMPORTS[module]}
    assert users == {"control.commands", "control.session_fields", "control.spec", "control.usage"}


def test_the_model_s_side_does_not_know_the_user_s() -> None:
    rooms = {_room(imported) for module in MODULES if _room(module) == "local_model" for imported in IMPORTS[module]}
    assert rooms <= {"local_model", "realtime", "config", "logs", *FLOORS[0]}


def test_no_room_imports_in_a_circle() -> None:
    rooms: dict[str, set[str]] = {}
    for module, imported in IMPORTS.items():
        rooms.setdefault(_room(module), set()).update({_room(name) for name in imported} - {_room(module)})
    # `control` uses the nouns of `realtime`, which import nothing.
    assert list(TopologicalSorter(rooms).static_order())


def test_no_module_imports_in_a_circle() -> None:
    at_import = {name: _ours(_imported(tree, at_import_only=True)) for name, tree in MODULES.items()}
    assert list(TopologicalSorter(at_import).static_order())


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_only_some_know(package: str) -> None:
    users = {module for module, tree in MODULES.items() if package in {name.split(".")[0] for name in _imported(tree)}}
    allowed = ALLOWED[package]
    assert {module for module in users if not {module, _room(module)} & allowed} == set()


def test_a_wrong_import_would_be_found() -> None:
    wrong = [
        ("control.life", "fleet.fleet"),
        ("control.life", "realtime.events"),
        ("realtime.session", "rtc.channel"),
        ("audio.playout", "rtc.channel"),
        ("local_model.server", "realtime.session"),
        ("local_model.server", "agent"),
        ("agent", "assembly"),
        ("fleet.worker", "server.app"),
        ("errors", "config"),
    ]
    assert [pair for pair in wrong if _may_import(*pair)] == []
    assert _imported(ast.parse("def f():\n    from realtime_agent.fleet import fleet")) == {
        "realtime_agent.fleet.fleet"
    }
    assert _imported(ast.parse("def f():\n    import aiohttp"), at_import_only=True) == set()
