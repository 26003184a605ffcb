"""What others sent to a real server or imported there is checked, whatever it is."""

from __future__ import annotations

from pathlib import Path

from annotation.form.tasks import prediction_of
from annotation.server.project import Project
from manifests.annotations import annotations_path, read_annotations
from tests.annotation.conftest import (
    Running,
    annotate,
    pulled,
    soft_alpha,
    submit,
    tasks_of,
)


def test_bad_annotations_are_named_and_the_rest_is_pulled(
    server: Running, pushed: Project, tmp_path: Path
) -> None:
    tasks = tasks_of(pushed)
    good = prediction_of("", alpha=soft_alpha(1, 60, 80))["result"]
    (region,) = good
    cut = {**region, "value": {**region["value"], "rle": region["value"]["rle"][:50]}}
    label = {**region, "value": {**region["value"], "brushlabels": ["Cat"]}}
    faults = {
        "a b.png": ({**region, "from_name": "evil"}, "evil"),
        "deep/a b.png": (cut, "decoded"),
        "d.o.t.s.jpg": (label, "Cat"),
        "[x].png": ({**region, "original_width": 81}, "60 x 81"),
    }
    ids = {file: submit(pushed, tasks[file], [bad]) for file, (bad, _) in faults.items()}
    submit(pushed, tasks["ünï-日本.png"], good)
    pushed.client.post(f"/api/projects/{pushed.id}/import", [evil_task("../../evil")])
    submit(pushed, max(row.id for row in pushed.summaries()), good)
    out = tmp_path / "out"
    command = ("pull", "--project", pushed.title, "--out", str(out))
    for _ in range(2):  # what is wrong is named each time
        ran = annotate(server, *command)
        assert ran.code == 1
        for file, (_, word) in faults.items():
            (line,) = [one for one in ran.err.splitlines() if f"annotation {ids[file]} by " in one]
            assert f"{file}: annotation" in line
            assert f"?task={tasks[file]})" in line
            assert word in line
        assert "../../evil" in ran.err
    (row,) = read_annotations(annotations_path(out))
    assert row.photo_file == "ünï-日本.png"
    files = [path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(["annotations.parquet", "pull.json", row.path, row.photo_path])
    assert {path.name for path in tmp_path.iterdir()} == {"src", "out"}
    assert not any(server.token.encode() in (out / file).read_bytes() for file in files)


def evil_task(photo: str) -> dict[str, object]:
    sha256 = "0" * 64
    data = {"photo": photo, "file": photo, "photo_sha256": sha256, "image_sha256": sha256}
    more = dict.fromkeys(
        ("alpha_sha256", "trimap_sha256", "subject", "transparency", "licence"), ""
    )
    url = "http://127.0.0.1:9/elsewhere.png"
    return {"data": {**data, **more, "height": 60, "width": 80, "image": url}}


def test_token_goes_to_no_other_server(pushed: Project, tmp_path: Path) -> None:
    """A picture's address may be anything that somebody imported."""
    task = evil_task("photo-0123456789")
    pushed.client.post(f"/api/projects/{pushed.id}/import", [task])
    number = max(row.id for row in pushed.summaries())
    submit(pushed, number, prediction_of("", alpha=soft_alpha(1, 60, 80))["result"])
    _, (fault,) = pulled(pushed, tmp_path / "out")
    assert f"task {number}: 0: its picture is at 'http://127.0.0.1:9/" in fault
