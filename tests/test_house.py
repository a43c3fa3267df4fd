"""Rules of the house that no linter holds."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APPS = ("config", "experiments", "models_registry", "scoring")
FOLDERS = (*APPS, "tests", "benchmarks")
FILE_LINES = 400
FUNCTION_LINES = 50
FRAMEWORKS = {"django", "rest_framework", "celery"}
PURE = (
    "experiments.statistics",
    "experiments.assignment.bucketing",
    "experiments.assignment.compiled",
    "experiments.assignment.evaluator",
    "experiments.assignment.growthbook.features",
    "experiments.assignment.plan",
    "experiments.decisions.rule",
    "experiments.metrics.definitions",
    "scoring.engine",
)
COMMANDS = (
    *("demo", "serve", "dev", "check", "bench", "clean", "lock"),
    *("test", "test-faults", "test-slow"),
)
WEB = ("config.wsgi", "config.front")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(*folders: str) -> list[Path]:
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "migrations" not in path.parts
    )


def exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def parsed(path: Path) -> ast.Module:
    """The file's tree; in a thread, whose stack no earlier test has used."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(ast.parse, path.read_text()).result()


def functions(tree: ast.AST) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node


def length(function: Function) -> int:
    """Lines of a function less its docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        lines -= (docstring.end_lineno or 0) - docstring.lineno + 1
    return lines


def modules_loaded_by(module: str) -> set[str]:
    """What a fresh interpreter has loaded after importing ``module``."""
    program = f"import sys, {module}; print(*{{m.split('.')[0] for m in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_no_file_is_longer_than_its_concept() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sources(*FOLDERS)
        if (lines := len(path.read_text().splitlines())) > FILE_LINES
    }
    assert not long


def test_no_function_is_longer_than_a_screen() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}": lines
        for path in sources(*FOLDERS)
        for function in functions(parsed(path))
        if (lines := length(function)) > FUNCTION_LINES
    }
    assert not long


@pytest.mark.parametrize("module", [name for name in PURE if exists(name)])
def test_pure_code_loads_no_framework(module: str) -> None:
    assert not FRAMEWORKS & modules_loaded_by(module)


@pytest.mark.parametrize("module", [name for name in WEB if exists(name)])
def test_web_processes_never_load_torch(module: str) -> None:
    assert "torch" not in modules_loaded_by(module)


@pytest.mark.parametrize(
    "path",
    [p for p in sources("experiments/statistics") if p.name != "__init__.py"],
    ids=lambda path: path.stem,
)
def test_every_statistics_module_names_its_sources(path: Path) -> None:
    docstrings = [
        ast.get_docstring(node) or ""
        for node in ast.walk(parsed(path))
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
    ]
    assert any("References" in text for text in docstrings)


def test_every_partial_template_is_included_somewhere() -> None:
    templates = ROOT / "templates"
    texts = [p.read_text() for p in templates.rglob("*.html")]
    texts += [path.read_text() for path in sources(*APPS)]
    unused = [
        name
        for path in templates.rglob("partials/*.html")
        if not any((name := str(path.relative_to(templates))) in t for t in texts)
    ]
    assert not unused


def test_every_scheduled_task_exists() -> None:
    from config.celery import app

    app.loader.import_default_modules()
    scheduled = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert scheduled <= set(app.tasks)


def test_every_task_is_scheduled_or_sent_by_somebody() -> None:
    from config.celery import app

    app.loader.import_default_modules()
    scheduled = {entry["task"] for entry in app.conf.beat_schedule.values()}
    text = "".join(path.read_text() for path in sources(*APPS))
    unsent = []
    for name in app.tasks:
        if not name.startswith(APPS) or name in scheduled:
            continue
        function = name.rpartition(".")[2]
        sent = (f"{function}.delay", f"{function}.apply_async", f'"{name}"')
        if not any(way in text for way in sent):
            unsent.append(name)
    assert not unsent


def test_every_setting_is_documented() -> None:
    from config.env import settings_table

    assert settings_table() in (ROOT / "docs/settings.md").read_text()


def test_the_documented_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"\n{name}:" in makefile for name in COMMANDS)
