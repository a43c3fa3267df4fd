from pathlib import Path

import pytest
from django.conf import LazySettings

from tests.scoring import shop


@pytest.fixture
def shop_log(settings: LazySettings, lake: Path, artifacts: Path) -> None:
    """Three weeks of a tiny shop in the lake; artifacts in a folder of the test's."""
    settings.ARTIFACT_CACHE = artifacts.parent / "cache"
    settings.DATA_DIR = artifacts.parent
    shop.write_log(str(lake), shop.visits())
