"""The manifests, scripts and commands of the pages on clusters can be read, and name only what there is."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from typer.main import get_command

from amiss.cli import app
from amiss.watch import read_config
from helpers import ROOT

PAGES = ("extract-one-machine", "ray-cluster", "kubernetes", "slurm", "watch-on-a-cluster")


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs/how-to" / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands() -> Iterator[list[str]]:
    """Of all pages, in scripts and manifests, too."""
    for page in PAGES:
        for block in (*blocks(page, "bash"), *blocks(page, "yaml")):
            for line in block.replace("\\\n", " ").splitlines():
                if found := re.search(r"(?:^|entrypoint: |-- +)(amiss [^#]*)", line):
                    yield shlex.split(found[1])


def test_commands_have_the_options_that_they_are_given() -> None:
    group: Any = get_command(app)
    found = list(commands())
    assert len(found) >= 10
    for words in found:
        command = group.commands[words[1]]
        options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= options, words


@pytest.mark.parametrize("page", PAGES)
def test_scripts_are_scripts(page: str) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    for script in blocks(page, "bash"):
        assert subprocess.run([bash, "-n"], input=script, text=True, capture_output=True).stderr == ""


def test_the_job_of_kubernetes() -> None:
    (text,) = blocks("kubernetes", "yaml")
    job: dict[str, Any] = yaml.safe_load(text)
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    assert {container["image"] for pod in pods for container in pod["containers"]} == {"registry.example.org/amiss:1"}
    for pod in pods:
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert container["resources"]["requests"] == container["resources"]["limits"]
    (dockerfile,) = blocks("kubernetes", "dockerfile")
    assert f"ray:{cluster['rayVersion']}-" in dockerfile


def test_the_configuration_of_cameras_on_a_cluster(tmp_path: Any) -> None:
    (text,) = blocks("watch-on-a-cluster", "yaml")
    for name in ("detector.json", "head.safetensors"):
        (tmp_path / name).write_text("{}")
    file = tmp_path / "watch.yaml"
    file.write_text(text.replace("/srv/detector", str(tmp_path)))
    config, problems = read_config(file)
    assert problems == []
    assert config is not None
    assert config.cluster is not None
    assert config.cluster.cameras_per_process == 4
