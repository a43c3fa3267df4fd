"""A torch run's state in one safetensors file, replaced atomically."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import nn

_MODEL, _OPTIMIZER, _RNG = "model.", "optimizer.", "rng"


@dataclass(frozen=True, slots=True)
class Position:
    """Where in a run its state was taken.

    Attributes:
        run: Hash of data, parameters and seed: a checkpoint serves this run only.
        epoch: Current epoch, from 0.
        step: Steps of this epoch already made.
        elapsed: Seconds of training so far.
    """

    run: str
    epoch: int = 0
    step: int = 0
    elapsed: float = 0.0


def save_checkpoint(
    path: Path,
    position: Position,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write the state beside the file and move it into place."""
    tensors = {_MODEL + name: t for name, t in network.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}{index}.{name}": t for name, t in state.items()}
    tensors[_RNG] = torch.get_rng_state()
    metadata = {"position": json.dumps(asdict(position))}
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(safetensors.torch.save(tensors, metadata))
    partial.replace(path)


def load_checkpoint(
    path: Path, run: str, network: nn.Module, optimizer: torch.optim.Optimizer
) -> Position:
    """Restore the state of the same run; otherwise leave all as it is.

    Returns:
        The position to go on from; the start if there is nothing to resume.
    """
    if not path.exists():
        return Position(run)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            position = Position(**json.loads(file.metadata()["position"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError):
        return Position(run)  # a torn or foreign file: the run starts anew
    if position.run != run:
        return Position(run)
    network.load_state_dict(
        {
            name.removeprefix(_MODEL): tensor
            for name, tensor in tensors.items()
            if name.startswith(_MODEL)
        }
    )
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(_OPTIMIZER):
            index, name = key.removeprefix(_OPTIMIZER).split(".")
            state.setdefault(int(index), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    torch.set_rng_state(tensors[_RNG])
    return position
