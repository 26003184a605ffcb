"""Annotation against a real server: `python -m tests.bench.annotate [--tasks 200] [--json]`.

Pushes and pulls tasks of 4K soft alphas and measures the time and the memory of each command. Then
it runs the whole loop on the photos of alphamatting.com and prints the SAD against their alphas.

    python -m tests.bench.annotate --small 10000 --tasks 0 --photos 0

measures what the number of tasks costs, with photos of a few pixels.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from annotation.serve import Service, serving
from annotation.server.client import Client
from annotation.server.find import existing_project
from annotation.server.project import Project
from manifests.annotations import annotations_path, read_annotations
from manifests.pixels import Pixels, decode_alpha, encode_alpha
from tests.annotation.conftest import (
    DATA,
    PASSWORD,
    USER,
    Running,
    save_alpha,
    save_photo,
    server_venv,
    soft_alpha,
    start_annotate,
    warmed_template,
)
from tests.annotation.loop import ALPHAMATTING, run_loop
from tests.ports import free_port

HEIGHT, WIDTH = 2160, 3840
ALPHAS = 8  # different alphas; with more, the disk would be measured


def run(server: Running, *arguments: str) -> dict[str, float]:
    """Run a command to its end; seconds, those of processors (its own, and all that the tests
    started, the server too), and the peak memory of its process in MB."""
    settings = {"LABEL_STUDIO_URL": server.url, "LABEL_STUDIO_API_KEY": server.token}
    begin, peak, worked = time.monotonic(), 0.0, _processor_seconds()
    process = start_annotate(*arguments, **settings)
    while process.poll() is None:
        peak = max(peak, _peak_mb(process.pid))
        time.sleep(0.02)
    seconds = time.monotonic() - begin
    out, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"annotate {' '.join(arguments)}\n{out}{err}")
    return {
        "seconds": seconds,
        "processor_seconds": _processor_seconds() - worked,
        "peak_mb": peak,
    }


def _processor_seconds() -> float:
    """Of the processes that this one started, those that ended and those that run."""
    ended = os.times()
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                ticks += int(fields[11]) + int(fields[12])
    return ended.children_user + ended.children_system + ticks / os.sysconf("SC_CLK_TCK")


def _peak_mb(process: int) -> float:
    """Peak of a process so far, because the final value also includes its parent's memory."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(one.split()[1]) / 1000 for one in lines if one.startswith("VmHWM")), 0.0)


def alphas() -> list[Pixels]:
    """Real soft alphas, enlarged to 4K. Hair becomes wider, so more pixels are soft."""
    paths = sorted((DATA / "foregrounds").glob("*.png"))[:: max(1, 63 // ALPHAS)][:ALPHAS]
    found = []
    for path in paths:
        cutout = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if cutout is None:
            raise FileNotFoundError(f"{path}")
        alpha = cv2.resize(cutout[..., 3], (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        found.append(np.asarray(alpha, np.uint8))
    return found


def sources(folder: Path, count: int) -> list[Pixels]:
    """Write `count` 4K pairs to photos/ and alphas/; returns the alphas, which are used in turn."""
    kinds = alphas()
    rng = np.random.default_rng(1)
    for name in ("photos", "alphas"):
        (folder / name).mkdir(parents=True)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 16, 3), np.uint8))
    photo = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)).copy()
    pngs = [encode_alpha(alpha) for alpha in kinds]
    for number in range(count):
        photo[0, 0] = (*divmod(number, 256), 0)  # so that all files differ
        Image.fromarray(photo).save(folder / "photos" / f"{number:04d}.jpg", quality=90)
        (folder / "alphas" / f"{number:04d}.png").write_bytes(pngs[number % len(pngs)])
    return kinds


def small_sources(folder: Path, count: int) -> list[Pixels]:
    """As `sources`, of 24 x 32 pixels."""
    kinds = [soft_alpha(number, 24, 32) for number in range(ALPHAS)]
    for number in range(count):
        save_photo(folder / "photos", f"{number:05d}.png", number, 24, 32)
        save_alpha(folder / "alphas", f"{number:05d}.png", kinds[number % ALPHAS])
    return kinds


def many(
    server: Running, folder: Path, kinds: Sequence[Pixels], *more: str
) -> dict[str, dict[str, float]]:
    """Push, approve and pull the pairs of a folder. Raises SystemExit if a pulled alpha differs."""
    count = len(list((folder / "photos").iterdir()))
    title, out = f"{folder.name} {count} tasks", folder / "out"
    project = ("--project", title)
    given = ("--photos", str(folder / "photos"), "--alphas", str(folder / "alphas"), *more)
    found = {"push": run(server, "push", *project, *given)}
    found["push again"] = run(server, "push", *project, *given)
    with Client(server.url, server.token) as client:
        accept_all(existing_project(client, title))
    found["pull"] = run(server, "pull", *project, "--out", str(out))
    found["pull again"] = run(server, "pull", *project, "--out", str(out))
    found["status"] = run(server, "status", *project)
    found["status again"] = run(server, "status", *project)
    rows = read_annotations(annotations_path(out))
    for row in rows:
        number = int(Path(row.photo_file).stem)
        alpha = decode_alpha((out / row.path).read_bytes())
        if not np.array_equal(alpha, kinds[number % len(kinds)]):
            raise SystemExit(f"{row.photo_file}: the pulled alpha differs from the pushed one")
    if len(rows) != count:
        raise SystemExit(f"{len(rows)} of {count} annotations were pulled")
    return found


def accept_all(project: Project) -> None:
    """Submit all predictions untouched, as the data manager does it for many tasks at once."""
    where: dict[str, str | int] = {"id": "predictions_to_annotations", "project": project.id}
    chosen: dict[str, object] = {
        "selectedItems": {"all": True, "excluded": []},
        "ordering": [],
        "filters": None,
    }
    project.client.post("/api/dm/actions/", chosen, **where)


def show(commands: dict[str, dict[str, float]], count: int) -> None:
    """One line for each command."""
    for name, figures in commands.items():
        print(
            f"{name:<12} {figures['seconds']:7.1f} s {figures['seconds'] / count:7.3f} s per task "
            f"{figures['processor_seconds']:7.1f} s of processors {figures['peak_mb']:6.0f} MB",
            flush=True,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--small", type=int, default=1000, help="Number of photos of a few pixels; 0: none."
    )
    parser.add_argument("--tasks", type=int, default=200, help="Number of 4K photos; 0: none.")
    parser.add_argument(
        "--photos",
        type=int,
        default=20,
        help="Number of photos of alphamatting.com in the loop; 0 leaves it out.",
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="Factor by which these photos are scaled."
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    venv = server_venv()
    template = warmed_template(venv)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copytree(template, root / "data")
        token = (root / "data" / "token").read_text()
        (root / "files").mkdir()
        service = Service(root / "data", free_port(), venv, USER, PASSWORD, token, root / "files")
        found: dict[str, object] = {}
        with serving(service):
            server = Running(service)
            if options.small:
                kinds = small_sources(server.files / "small", options.small)
                shown = ("--local-files", str(server.files))  # nothing is uploaded
                commands = many(server, server.files / "small", kinds, *shown)
                found["small"] = commands
                if not options.json:
                    show(commands, options.small)
            if options.tasks:
                kinds = sources(root / "many", options.tasks)
                commands = many(server, root / "many", kinds)
                found["commands"] = commands
                if not options.json:
                    show(commands, options.tasks)
            names = sorted(path.name for path in (ALPHAMATTING / "input").glob("*.png"))
            if options.photos:
                loop = run_loop(
                    server, root / "loop", "loop", names[: options.photos], options.scale
                )
                found["solutions"] = [vars(one) for one in loop.solutions]
                if not options.json:
                    for command, ran in loop.printed:
                        print(f"$ {command.replace(folder, '')}\n{ran.out}{ran.err}", end="")
                    for one in loop.solutions:
                        print(f"{one.photo}  SAD {one.sad:6.2f}  unknown {one.unknown:7,}")
                    print(f"mean SAD {np.mean([one.sad for one in loop.solutions]):.2f}")
    if options.json:
        json.dump(found, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
