"""The loop learns, resumes where it was, and ends in time."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trabecula.training.loop import Judge, Schedule, best_of, load_weights, record_of, steps_done, train, works_in_bf16

Batch = tuple[Tensor, Tensor]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))


def batches(fail_after: int | None = None) -> Iterator[Batch]:
    """The same batch again and again, so that where a run was interrupted cannot matter."""
    x = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))
    count = 0
    while True:
        if count == fail_after:
            raise KeyboardInterrupt
        count += 1
        yield x, x.sum(1, keepdim=True)


def loss(model: nn.Module, batch: Batch) -> Tensor:
    x, y = batch
    return (model(x) - y).pow(2).mean()


def schedule(steps: int, **changes: float | bool) -> Schedule:
    settings = {"learning_rate": 0.02, "warmup": 3, "save_every": 5, "bf16": False, **changes}
    return Schedule(steps=steps, **settings)  # type: ignore[arg-type]


def logged(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]


def done(folder: Path) -> int:
    return int(json.loads((folder / "schedule.json").read_text())["steps_done"])


def test_it_learns_and_leaves_the_averaged_weights(tmp_path: Path) -> None:
    before = loss(network().eval(), next(batches())).item()
    train(network(), batches(), loss, schedule(400), tmp_path)
    after = loss(load_weights(network(), tmp_path), next(batches())).item()
    assert after < 0.2 * before
    assert done(tmp_path) == 400
    assert logged(tmp_path) == list(range(10, 401, 10))
    assert not (tmp_path / "checkpoint.part").exists()


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    train(network(), batches(), loss, schedule(40), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(network(), batches(fail_after=23), loss, schedule(40), tmp_path / "parts")
    assert not (tmp_path / "parts" / "schedule.json").exists()
    train(network(), batches(), loss, schedule(40), tmp_path / "parts")
    assert done(tmp_path / "parts") == 40
    assert logged(tmp_path / "parts") == [10, 20, 30, 40]  # resumed at 20, the last one saved
    one, two = (load_weights(network(), tmp_path / name).state_dict() for name in ("whole", "parts"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-6)


def test_a_run_that_is_done_is_not_walked_again(tmp_path: Path) -> None:
    train(network(), batches(), loss, schedule(20), tmp_path)
    first = {name: value.clone() for name, value in load_weights(network(), tmp_path).state_dict().items()}
    train(network(), batches(fail_after=0), loss, schedule(20), tmp_path)
    assert done(tmp_path) == 20
    for name, value in load_weights(network(), tmp_path).state_dict().items():
        torch.testing.assert_close(value, first[name])


def test_minutes_end_a_run_and_count_on_when_it_is_resumed(tmp_path: Path) -> None:
    started = time.monotonic()
    train(network(), batches(), loss, schedule(10**7, minutes=0.005), tmp_path)
    assert time.monotonic() - started < 5
    steps = done(tmp_path)
    assert 0 < steps < 10**7
    train(network(), batches(), loss, schedule(10**7, minutes=0.005), tmp_path)
    assert done(tmp_path) == steps  # its time was spent


def test_the_rate_warms_up_and_falls_to_almost_nothing(tmp_path: Path) -> None:
    train(network(), batches(), loss, schedule(200, warmup=50), tmp_path)
    rates = [json.loads(line)["rate"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 2 <= peak <= 5
    assert rates[-1] < 0.1 * 0.02


def test_a_checkpoint_alone_gives_weights(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(network(), batches(fail_after=7), loss, schedule(40), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.safetensors", "log.jsonl"}
    model = load_weights(network(), tmp_path)
    assert not model.training
    fresh = network().state_dict()
    assert any((value != fresh[name]).any() for name, value in model.state_dict().items())


def test_half_precision_learns_too(tmp_path: Path) -> None:
    before = loss(network().eval(), next(batches())).item()
    train(network(), batches(), loss, schedule(400, bf16=True), tmp_path)
    assert loss(load_weights(network(), tmp_path), next(batches())).item() < 0.4 * before


def slow(folder: Path) -> None:
    """A run of 60 steps that takes a second or more, in a process of its own."""

    def batch() -> Iterator[Batch]:
        for one in batches():
            time.sleep(0.03)
            yield one

    train(network(), batch(), loss, schedule(60), folder)


def test_a_killed_run_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    words = f"import pathlib, runpy; runpy.run_path({__file__!r})['slow'](pathlib.Path({str(tmp_path / 'killed')!r}))"
    run = subprocess.Popen([sys.executable, "-c", words], stdout=subprocess.DEVNULL)
    checkpoint = tmp_path / "killed" / "checkpoint.safetensors"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    run.kill()
    run.wait()
    assert 0 < steps_done(tmp_path / "killed")[0] < 60
    assert not (tmp_path / "killed" / "weights.safetensors").exists()
    for name in ("killed", "whole"):
        train(network(), batches(), loss, schedule(60), tmp_path / name)
    one, two = (load_weights(network(), tmp_path / name).state_dict() for name in ("whole", "killed"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-6)
    assert logged(tmp_path / "killed") == [10, 20, 30, 40, 50, 60]


def judge(values: list[float]) -> Judge:
    """Says these figures one after another."""
    told = iter(values)
    return Judge(lambda network: {"merit": next(told)}, "merit", lambda new, old: old is None or new > old)


def test_the_judge_is_asked_now_and_then_and_at_the_end(tmp_path: Path) -> None:
    train(network(), batches(), loss, schedule(40, judge_every=10), tmp_path, judge=judge([1, 3, 2, 0]))
    assert best_of(tmp_path) == {"merit": 3}
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    judged = [(one["step"], one["validation"]["merit"], one["kept"]) for one in entries if "validation" in one]
    assert judged == [(10, 1, True), (20, 3, True), (30, 2, False), (40, 0, False)]
    assert record_of(tmp_path)["steps_done"] == 40
    train(network(), batches(), loss, schedule(40), tmp_path, judge=judge([]))  # done: nobody is asked again


def test_what_was_kept_is_the_average_at_that_step(tmp_path: Path) -> None:
    kept: list[dict[str, Tensor]] = []

    def score(model: nn.Module) -> dict[str, float]:
        assert not model.training
        kept.append({name: value.clone() for name, value in model.state_dict().items()})
        return {"merit": float(-abs(len(kept) - 2))}  # the second look is the best

    watching = Judge(score, "merit", lambda new, old: old is None or new > old)
    train(network(), batches(), loss, schedule(40, judge_every=10), tmp_path, judge=watching)
    for name, value in load_weights(network(), tmp_path).state_dict().items():
        torch.testing.assert_close(value, kept[1][name])
        assert name.endswith("num_batches_tracked") or (value != kept[3][name]).any()


def test_a_short_runs_average_is_not_of_where_it_began(tmp_path: Path) -> None:
    before = loss(network().eval(), next(batches())).item()
    train(network(), batches(), loss, schedule(40), tmp_path)
    assert loss(load_weights(network(), tmp_path), next(batches())).item() < 0.8 * before


@pytest.mark.parametrize(
    ("capability", "device", "bf16"), [("AVX2", "cpu", False), ("AVX512", "cpu", True), ("AVX2", "cuda:0", True)]
)
def test_bf16_is_used_only_where_the_device_works_in_it(
    capability: str, device: str, bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert works_in_bf16(device) is bf16
