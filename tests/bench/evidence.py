"""The whole experiment behind docs/results.md: how good are the trained models?

    python -m tests.bench.evidence WORK [--steps compose,train,evaluate,figure] [--together]
                                        [--no-layers] [--runs NAMES] [--train OPTIONS]

compose   40,000 training samples of 512 x 512 from 440 foregrounds, of which 279 are real, and
          2,000 photos (see `tests.bench.full_set`); GT16 to GT20 and 35 other real foregrounds, and
          200 real photos, are held out: 8,000 validation samples.
train     base, an and an-tw, with the same seeds and the same data in the same order; and, if they
          are named in --runs, an-tw-mixed, half of whose trimaps are exact, an-tw-unknown, whose
          alpha loss is only on the estimated unknown area, as in the paper, and an-tw-long, which
          begins with the weights of an-tw. They run one after the other, or with --together at
          once on shared cores.
evaluate  all of them as they are after their last iteration, closed-form and KNN matting on
          held-out samples with crude trimaps, on GT16 to GT20 with trimaps from ISNet's masks, and
          with alphamatting.com's trimap1; and the places of the models' errors, on held-out samples
          and on samples of the training.
figure    four held-out samples, side by side, of the last of the runs; and the validation curves.

Existing files are kept; remove a file to make it again. Tables go to WORK/results.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from console.cores import cores
from manifests import open_shards
from manifests.pixels import UNKNOWN
from manifests.sources import Split, Transparency
from tests.bench.bootstrap import interval
from tests.bench.full_set import SETTINGS, gather
from tests.bench.masks import BAND, LEAST, SURE
from tests.bench.pictures import curves, figure
from tests.bench.real_masks import HELD_OUT, write_case
from training.checkpoint import checkpoints, load_network
from training.loading.whole import whole_samples
from training.matte.predict import matte

SEED = 0
# name -> options of `train`
RUNS = {
    "base": ("--variant", "base"),
    "an": ("--variant", "an"),
    "an-tw": ("--variant", "an-tw"),
    "an-tw-mixed": ("--variant", "an-tw", "--trimap", "mixed"),
    "an-tw-unknown": ("--variant", "an-tw", "--area", "unknown"),
    "an-tw-long": ("--variant", "an-tw"),
}
AFTER = {"an-tw-long": "an-tw"}  # the run whose weights a run begins with
NAMES = "base,an,an-tw"
# alpha of each code if a crude trimap is taken as correct
_LEVELS = np.array([0, 128, 255], np.uint8)
_OF_INDEX = ["key", "foreground_id"]
CLASSICAL = ("closed-form", "knn")
HEADINGS = ("SAD whole", "MSE whole", "SAD", "MSE", "Grad", "Conn")
FIELDS = ("sad_whole", "mse_whole", "sad", "mse", "grad", "conn")
SETS = {
    "val": "held-out samples, crude trimaps",
    "isnet": "GT16 to GT20, trimaps from ISNet's masks",
    "trimap1": "GT16 to GT20, trimap1",
}


def run(program: str, *arguments: str) -> None:
    """Run a command of this project and print it as a user would type it."""
    print("$", program, *arguments, flush=True)
    subprocess.run([Path(sys.executable).with_name(program), *arguments], check=True)


def compose(work: Path, samples: int, layers: bool) -> None:
    if not (work / "foregrounds").exists():
        gather(work)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items()]
    run(
        "datagen", "compose", "--fg", str(work / "foregrounds"), "--bg", str(work / "backgrounds"),
        "--out", str(work / "shards"), "--samples", str(samples), *options,
        "--layers" if layers else "--no-layers",
    )  # fmt: skip


def train(work: Path, names: list[str], options: list[str], together: bool) -> None:
    """Train the models; a training that was interrupted continues."""
    threads = max(1, cores() // len(names)) if together else None
    environment = os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    begun = []
    for name in names:
        out = work / "runs" / name
        begin = []
        if (out / "config.json").exists():
            begin = ["--resume"]
        elif name in AFTER:
            begin = ["--init", str(last_checkpoint(work, AFTER[name]))]
        command = [
            "train", "--shards", str(work / "shards"), "--out", str(out), *RUNS[name],
            "--precision", "bf16", "--seed", str(SEED), *options, *begin,
        ]  # fmt: skip
        print("$", *command, flush=True)
        program = Path(sys.executable).with_name(command[0])
        begun.append(subprocess.Popen([program, *command[1:]], env=environment))
        if not together:
            begun[-1].wait()
    if any(process.wait() for process in begun):
        sys.exit("a training failed; repeat the command to continue it")


def last_checkpoint(work: Path, name: str) -> Path:
    """The last checkpoint, because the best one was chosen on samples that are evaluated here."""
    found = checkpoints(work / "runs" / name)
    if not found:
        sys.exit(f"{work / 'runs' / name}: no checkpoint; train {name} first")
    return found[-1]


def evaluate(work: Path, name: str, limit: int) -> None:
    """Evaluate one method or model on all three sets; writes JSON."""
    how = ["--method", name, "--workers", "2"]
    if name in RUNS:
        how = ["--checkpoint", str(last_checkpoint(work, name))]
    gt = work / "gt"
    truth = ["--images", str(gt / "images"), "--alphas", str(gt / "alphas")]
    trimap1 = ["--trimaps", str(gt / "trimaps")]
    inputs = {
        "val": ["--shards", str(work / "shards"), "--limit", str(limit)],
        "isnet": [*truth, *trimap1, "--given-trimaps", str(gt / "crude_trimaps")],
        "trimap1": [*truth, *trimap1],
    }
    for kind, options in inputs.items():
        target = score_file(work, kind, name)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            run("matte", "evaluate", *how, *options, "--out", str(target))


def tables(work: Path, names: list[str]) -> str:
    """Markdown: each set, all methods; then the held-out samples by transparency."""
    lines = []
    for kind, title in SETS.items():
        rows = {name: scores(work, kind, name) for name in names}
        lines += table(title, rows)
        if kind == "val":
            for one in Transparency:
                within = {
                    name: [image for image in images if image["transparency"] == one]
                    for name, images in rows.items()
                }
                if any(within.values()):
                    lines += table(f"{title}: {one}, {len(within[names[0]])} of them", within)
    return "\n".join(lines) + "\n"


def table(title: str, rows: dict[str, list[dict[str, Any]]]) -> list[str]:
    """A row of means for each method."""
    means = {
        name: [float(np.mean([image[field] for image in images])) for field in FIELDS]
        for name, images in rows.items()
    }
    return markdown(title, HEADINGS, means)


def markdown(title: str, headings: Sequence[str], rows: dict[str, list[float]]) -> list[str]:
    lines = [f"\n{title}:\n", "| | " + " | ".join(headings) + " |"]
    lines.append("| --- |" + " --- |" * len(headings))
    for name, values in rows.items():
        lines.append(f"| {name} | " + " | ".join(f"{value:.4g}" for value in values) + " |")
    return lines


def intervals(work: Path, names: list[str]) -> str:
    """SAD of whole held-out samples, and that over `base` and the classical methods'.

    Samples of one foreground are alike, so foregrounds are resampled.
    """
    index = (work / "shards" / "index").glob(f"{Split.VAL}-*.parquet")
    rows = [row for file in index for row in pq.read_table(file).select(_OF_INDEX).to_pylist()]
    foreground = {row["key"]: row["foreground_id"] for row in rows}
    found = {name: scores(work, "val", name) for name in names}
    groups = [foreground[image["name"]] for image in found[names[0]]]
    sad = {name: np.array([image["sad_whole"] for image in found[name]]) for name in names}
    beside = [name for name in ("base", *CLASSICAL) if name in names]
    headings = ["SAD whole", *(f"over {name}" for name in beside)]
    lines = [f"\nHeld-out samples: {len(groups)} of {len(set(groups))} foregrounds.\n"]
    lines += ["| | " + " | ".join(headings) + " |", "| --- |" + " --- |" * len(headings)]
    for name in names:
        cells = [interval([sad[name]], lambda mean: mean, groups)]
        cells += [interval([sad[name], sad[x]], lambda a, b: a / b, groups) for x in beside]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def regions(work: Path, names: list[str], limit: int) -> str:
    """Errors by what the crude trimap says, on held-out samples and on samples of the training.

    The last row takes the crude trimap as correct, with 1/2 for unknown: it repairs no error and
    adds none.
    """
    lines = []
    models = {name: load_network(last_checkpoint(work, name)) for name in names}
    for split in (Split.VAL, Split.TRAIN):
        rows: dict[str, list[list[float]]] = {name: [] for name in (*names, "crude trimap")}
        for sample in whole_samples(open_shards(work / "shards"), split, limit):
            crude = sample.crude_trimap
            given = _LEVELS[crude]
            is_known = crude != UNKNOWN
            is_wrong = is_known & (np.abs(given - sample.alpha.astype(float)) > 127.5)
            where = (~is_known, is_wrong, is_known & ~is_wrong)
            alphas = {name: matte(model, sample.image, crude) for name, model in models.items()}
            for name, alpha in {**alphas, "crude trimap": given}.items():
                error = np.abs(alpha - sample.alpha.astype(float)) / 255
                rows[name].append([float(error[region].sum()) / 1000 for region in where])
        title = f"SAD by what the crude trimap says, {limit} samples of split {split}"
        means = {name: np.mean(found, axis=0).tolist() for name, found in rows.items()}
        lines += markdown(title, ("unknown", "wrong by more than half", "right"), means)
    return "\n".join(lines) + "\n"


def score_file(work: Path, kind: str, name: str) -> Path:
    """The file of a score. Its name has the iteration, since a model may be trained further."""
    suffix = f"-{last_checkpoint(work, name).name}" if name in RUNS else ""
    return work / "scores" / kind / f"{name}{suffix}.json"


def scores(work: Path, kind: str, name: str) -> list[dict[str, Any]]:
    """What `matte evaluate --out` wrote about each picture. Exits if a picture failed."""
    path = score_file(work, kind, name)
    found = json.loads(path.read_text())
    if found.get("failed"):
        sys.exit(f"{path}: some pictures failed; remove it and evaluate again")
    images: list[dict[str, Any]] = found["images"]
    return images


def main() -> None:
    parser = argparse.ArgumentParser(description="The experiment behind docs/results.md.")
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", default="compose,train,evaluate,figure")
    parser.add_argument("--samples", type=int, default=40_000)
    parser.add_argument("--no-layers", action="store_true", help="Compose without layers.")
    parser.add_argument(
        "--limit", type=int, default=200, help="Number of held-out samples to evaluate."
    )
    parser.add_argument("--runs", default=NAMES, help=f"Models to train, of {', '.join(RUNS)}.")
    parser.add_argument(
        "--together", action="store_true", help="Run all trainings at the same time."
    )
    parser.add_argument("--train", default="", help="Further options of `train`, in one string.")
    options = parser.parse_args()
    work, names = options.work, options.runs.split(",")
    work.mkdir(parents=True, exist_ok=True)
    steps = set(options.steps.split(","))
    if "compose" in steps:
        compose(work, options.samples, not options.no_layers)
    if "train" in steps:
        train(work, names, shlex.split(options.train), options.together)
    if "evaluate" in steps:
        for name in HELD_OUT:
            write_case(name, work / "gt", BAND, LEAST, SURE)
        for name in (*names, *CLASSICAL):
            evaluate(work, name, options.limit)
        found = tables(work, [*names, *CLASSICAL]) + intervals(work, [*names, *CLASSICAL])
        found += regions(work, names, options.limit)
        (work / "results.md").write_text(found)
        print((work / "results.md").read_text())
    if "figure" in steps:
        figure(work / "shards", last_checkpoint(work, names[-1])).savefig(
            work / "figure.png", dpi=150
        )
        curves(work / "runs", names).savefig(work / "curves.png", dpi=150)


if __name__ == "__main__":
    main()
