"""What a training begins from: the shipped weights, exported ones of one's own, or a training that was finished."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from trabecula.causes import Unfit, cause_of
from trabecula.errors import wrong_usage
from trabecula.training.fit import weights_folder
from trabecula.training.loop import WEIGHTS
from trabecula.training.parity import TOLERANCE, compare, outputs_of
from trabecula.training.restore import restore
from trabecula.training.task import Task
from trabecula.view import Evidence, Head
from trabecula.weights import FOLDER, Weights, read_manifest

SHIPPED = "shipped"


@dataclass(frozen=True)
class Start:
    """The file that a network begins from. ``given`` is how it was asked for, ``sha256`` that of ``path``.

    ``path`` are the tensors of a training where these are at hand, else the exported ``weights``.
    """

    given: str
    path: Path
    sha256: str
    weights: Weights


def starts(given: str, tasks: tuple[Task, ...]) -> dict[str, Start]:
    """Where each task begins, by the name of its weights. ``given``: ``shipped``, or a folder of weights or a training.

    Raises:
        WrongUsage: ``start-missing``: there is no such folder, or not all of the weights are in it; ``weights-misfit``:
            they see or answer something else than what is to be trained.
    """
    folder = weights_folder(FOLDER if given == SHIPPED else Path(given))
    if folder is None:
        raise wrong_usage("start-missing", given=given, shipped=SHIPPED)
    manifest = read_manifest(folder)
    missing = [task.weights for task in tasks if task.weights not in manifest]
    if missing:
        raise wrong_usage("start-missing.some", given=given, missing=missing, there=tuple(manifest))
    return {task.weights: _start(given, folder, manifest[task.weights], task) for task in tasks}


def _start(given: str, folder: Path, weights: Weights, task: Task) -> Start:
    if weights.view != task.view or _meaning(weights.head) != _meaning(task.head):
        raise wrong_usage("weights-misfit", weights=task.weights, given=given)
    tensors = folder.parent / task.weights / WEIGHTS
    if tensors.exists():
        return Start(given, tensors, hashlib.sha256(tensors.read_bytes()).hexdigest(), weights)
    return Start(given, weights.folder / weights.file, weights.sha256, weights)


def _meaning(head: Head) -> object:
    """What answers mean, without what was counted on validation cases."""
    return head.looks if isinstance(head, Evidence) else head


def begin(task: Task, start: Start | None) -> nn.Module:
    """The network of a task, new, or as it was left where it starts; then it answers as the exported file does.

    Raises:
        WrongUsage: ``weights-not-restorable``: the exported file cannot be brought back into the network;
            ``weights-misfit``: the tensors of a training are another network's.
        Defect: the exported file is missing, or its hash is not the manifest's.
    """
    network = task.network()
    if start is None:
        return network
    if start.path.name == WEIGHTS:
        try:
            network.load_state_dict(load_file(start.path))
        except RuntimeError as error:
            raise wrong_usage("weights-misfit.layers", weights=task.weights, given=start.given) from error
        return network
    graph = task.graph(network).eval()
    image = torch.rand(task.input_shape, generator=torch.Generator().manual_seed(task.seed))
    content = start.weights.content()
    try:
        restore(graph, content, image)
        largest = compare((outputs_of(graph, image),), start.path, (image,)).largest
        if not largest <= TOLERANCE:
            raise Unfit("restore-answers", largest=largest, most=TOLERANCE)
    except ValueError as error:
        raise wrong_usage("weights-not-restorable", weights=task.weights, cause=cause_of(error)) from error
    return network
