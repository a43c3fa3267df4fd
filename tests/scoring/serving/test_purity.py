import subprocess
import sys

import pytest

MODULES = (
    "scoring.serving.api.routes",
    "scoring.serving.services",
    "scoring.serving.models_cache",
    "scoring.serving.ranking",
    "scoring.serving.fallback",
    "scoring.engine.registry",
)
PROGRAM = """
import os, sys, importlib
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
importlib.import_module({module!r})
loaded = [n for n in {banned!r} if n in sys.modules]
assert not loaded, loaded
"""


@pytest.mark.parametrize("module", MODULES)
def test_serving_imports_neither_torch_nor_the_orm(module: str) -> None:
    banned = ("torch", "django.db.models", "models_registry.models", "celery")
    program = PROGRAM.format(module=module, banned=banned)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_web_process_never_imports_torch() -> None:
    program = """
import os, sys, django
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
django.setup()
import scoring.training.tasks, scoring.training.services, scoring.training.selectors
assert "torch" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
