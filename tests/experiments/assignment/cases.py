"""The shared case file of GrowthBook's SDKs, which lies beside the repository."""

import json
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parents[4] / "shared" / "data" / "growthbook_sdk_cases.json"


def cases(section: str) -> list[Any]:
    """The cases of a section as parameters; one loud skip when the file is absent."""
    if not FILE.exists():
        reason = f"SDK cases absent: ../shared/data/{FILE.name}"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason))]
    listed = json.loads(FILE.read_text())[section]
    return [pytest.param(case, id=f"{n}: {case[0]}") for n, case in enumerate(listed)]
