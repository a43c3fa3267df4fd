"""Other tools, asked in an environment of their own.

gbstats needs NumPy and pandas below 2, so it can't share ours: it and tea-tasting are
installed from ``peers.txt`` into ``var/peers`` on first use. `answer.py` runs there.
``peers.txt`` is made from ``peers.in`` as the locks are (see the Makefile's ``LOCK``).
"""

import json
import subprocess
import venv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

FOLDER = Path(__file__).resolve().parent
ENVIRONMENT = FOLDER.parents[1] / "var" / "peers"
_LOCK = FOLDER / "peers.txt"
_STAMP = ENVIRONMENT / "peers.txt"

Tool: TypeAlias = Literal["gbstats", "tea_tasting"]
Kind: TypeAlias = Literal["mean", "ratio", "cuped", "proportion", "quantile"]


@dataclass(frozen=True)
class Question:
    """One comparison of a treatment with a control, as sums over units.

    Attributes:
        kind: which statistic; the sums each needs are written in `answer.py`.
        control: the sums of the control.
        treatment: the sums of the treatment.
        scale: absolute or relative difference.
        extra: a setting by name, such as a quantile's level.
    """

    kind: Kind
    control: Sequence[float]
    treatment: Sequence[float]
    scale: Literal["absolute", "relative"] = "absolute"
    extra: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Answers:
    """What a tool said, one entry a question, and how long it took for all."""

    estimate: list[float]
    lower: list[float]
    upper: list[float]
    p_value: list[float]
    seconds: float


def installed() -> bool:
    """Whether the environment is there and as the lock says."""
    return _STAMP.exists() and _STAMP.read_bytes() == _LOCK.read_bytes()


def install() -> None:
    """Make the environment; nothing is done when it is as the lock says."""
    if installed():
        return
    print(f"Installing other tools into {ENVIRONMENT}, once")
    venv.EnvBuilder(with_pip=True, clear=True).create(ENVIRONMENT)
    subprocess.run(
        [
            *(ENVIRONMENT / "bin" / "python", "-m", "pip", "install", "--quiet"),
            *("--disable-pip-version-check", "--require-hashes", "-r", _LOCK),
        ],
        check=True,
    )
    _STAMP.write_bytes(_LOCK.read_bytes())


def ask(tool: Tool, questions: Sequence[Question]) -> Answers:
    """Ask a tool; the environment has to be installed."""
    asked = json.dumps([asdict(question) for question in questions])
    done = subprocess.run(
        [ENVIRONMENT / "bin" / "python", FOLDER / "answer.py", tool],
        input=asked,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Answers(**json.loads(done.stdout.splitlines()[-1]))
