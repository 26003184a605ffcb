"""The examples of clusters have the form that their programs take, and name options that exist."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.test_readme import wrong_in

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_manifest_of_kuberay() -> None:
    text = (EXAMPLES / "kuberay.yaml").read_text()
    job: dict[str, Any] = yaml.safe_load(text)
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert wrong_in(job["spec"]["entrypoint"]) == []
    assert "$RAY_ADDRESS" in job["spec"]["entrypoint"], "the cluster's name is made by the operator"
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert "RAY_AUTH_TOKEN" not in text, "a token belongs in a secret"
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert all(group["replicas"] <= group["maxReplicas"] for group in groups[1:])
    for group in groups:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        spec = group["template"]["spec"]
        volumes = {volume["name"] for volume in spec["volumes"]}
        for container in (*spec["containers"], *spec["initContainers"]):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_the_script_of_slurm() -> None:
    script = EXAMPLES / "slurm.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    (line,) = [one for one in script.read_text().splitlines() if one.startswith("datagen ")]
    assert wrong_in(line.removesuffix(" &")) == []
