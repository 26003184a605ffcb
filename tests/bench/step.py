"""What a training step and a prediction cost, as JSON.

    python -m tests.bench.step [--against TREE] [--threads N]

A step of `an-tw` in bf16, on 16 random crops of 224 x 224 with layers: moving the batch, new
colours, network, losses, gradients, Adam. A prediction in 32 bits at 800 x 800, batch 1, without
the trimap decoder. `--against` names a checkout of another version, which takes turns with this
one. Times are by the clock, and the least of all turns counts; run it on an idle machine. It takes
half a minute, or one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).parents[2]
BATCH, CROP, SIZE = 16, 224, 800
TURNS, REPEATS = 4, 4


def least_seconds(call: Callable[[], object]) -> float:
    call()  # to warm up
    taken = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return min(taken)


def random_batch() -> Any:
    import torch

    torch.manual_seed(0)

    def pixels(channels: int, high: int) -> Any:
        made = torch.randint(0, high, (BATCH, channels, CROP, CROP), dtype=torch.uint8)
        return made.contiguous(memory_format=torch.channels_last)

    return SimpleNamespace(
        keys=("",) * BATCH,
        image=pixels(3, 256),
        given_trimap=pixels(1, 3),
        alpha=pixels(1, 256),
        trimap=pixels(1, 3),
        foreground=pixels(3, 256),
        background=pixels(3, 256),
        colours=torch.eye(3, 4).expand(BATCH, 3, 4).contiguous(),
    )


def measure(threads: int) -> dict[str, float]:
    """Of the version that is imported."""
    import torch

    from training.learner import Learner
    from training.processes import Processes
    from training.settings import TrainSettings

    torch.set_num_threads(threads)
    bf16 = type(TrainSettings.precision)("bf16")
    settings = TrainSettings("", batch_size=BATCH, crop_size=CROP, precision=bf16)
    learner = Learner(settings, Processes(0, 1, torch.device("cpu")))
    batch = random_batch()
    step = least_seconds(lambda: learner.step(0, batch))

    model = learner.model.without_trimap_decoder().eval()
    image = torch.rand(1, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    trimap = torch.ones(1, 1, SIZE, SIZE)
    with torch.inference_mode():
        prediction = least_seconds(lambda: model(image, trimap))
    return {"step": step, "prediction": prediction}


def measured(tree: Path, threads: int) -> dict[str, float]:
    """The same in a process of the version in `tree`."""
    command = [sys.executable, __file__, "--only", "--threads", str(threads)]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, check=False, text=True
    )
    if done.returncode:
        raise SystemExit(f"{tree}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def compared(trees: dict[str, Path], threads: int) -> dict[str, float]:
    turns = [{name: measured(trees[name], threads) for name in trees} for _ in range(TURNS)]
    figures: dict[str, float] = {"threads": threads}
    for what in ("step", "prediction"):
        least = {name: min(turn[name][what] for turn in turns) for name in trees}
        figures |= {f"{name}_{what}_ms": round(1000 * least[name], 1) for name in trees}
        if what == "step":
            figures |= {f"{n}_samples_per_second": round(BATCH / least[n], 1) for n in trees}
        if "against" in trees:
            figures[f"{what}_ratio"] = round(least["against"] / least["this"], 2)
            ratios = [turn["against"][what] / turn["this"][what] for turn in turns]
            figures[f"{what}_ratio_least"] = round(min(ratios), 2)
            figures[f"{what}_ratio_most"] = round(max(ratios), 2)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of a training step and of a prediction.")
    parser.add_argument("--against", type=Path, help="A checkout of another version.")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="Number of threads.")
    parser.add_argument("--only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options.threads)))
        return
    trees = {"this": HERE}
    if options.against is not None:
        trees["against"] = options.against.resolve()
    print(json.dumps(compared(trees, options.threads), indent=1))


if __name__ == "__main__":
    main()
