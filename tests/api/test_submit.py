"""What `hwkd.submit` writes starts the workers that were asked for, whatever a study is called."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from support.tiny_search import make_shared_run

import hwkd
from hwkd.core.errors import ConfigError

URL = "postgresql://hwkd:secret@db.example/hwkd"
STUDIES = (
    "photos",
    "a b",
    "'; touch it_ran; '",
    "$(touch it_ran) `touch it_ran` $(PGPASSWORD) $$(X) \\",
    "a\ntouch it_ran\n#SBATCH --array=1-999\n",
    'a"\n- command: [touch, it_ran]\n# {x}: *y',
    '"""\nimport os; os.mkdir("it_ran")\n\U0001f600\x85\x7f',
    "--trust",
    "{{ x }} %s !!python/object/apply:os.mkdir [it_ran]",
)


def text(system: str, study: str = "photos", url: str = URL, **options) -> str:
    if system == "k8s":
        options = {"image": "registry.example/hwkd:1"} | options
    return hwkd.submit(system, url, study=study, prints=True, **options).text


def expected(study: str) -> list[str]:
    place = ["--storage", "postgresql://hwkd@db.example/hwkd", "--study", study]
    return ["worker", *place, "--max-time", "28680s", "--idle-exit", "10min"]


@pytest.mark.parametrize("study", STUDIES)
def test_a_slurm_script_starts_the_worker_and_nothing_else(study, tmp_path):
    script = tmp_path / "workers.sh"
    script.write_text(text("slurm", study))
    subprocess.run(["bash", "-n", script], check=True)
    command = tmp_path / "bin" / "hwkd"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
    command.chmod(0o755)
    environment = {"PATH": f"{command.parent}:{os.environ['PATH']}"}
    ran = subprocess.run(
        ["bash", script], check=True, capture_output=True, cwd=tmp_path, env=environment
    )
    assert ran.stdout.decode().split("\0")[:-1] == expected(study)
    assert {path.name for path in tmp_path.iterdir()} == {"workers.sh", "bin"}
    assert script.read_text().split("\nexport")[0].splitlines()[3:] == [
        f"#SBATCH --job-name={yaml.safe_load(text('k8s', study))['metadata']['name']}",
        "#SBATCH --array=1-16",
        "#SBATCH --cpus-per-task=2",
        "#SBATCH --mem=4096M",
        "#SBATCH --time=08:00:00",
        "#SBATCH --signal=B:TERM@40",
    ]


@pytest.mark.parametrize("study", STUDIES)
def test_a_kubernetes_job_has_one_container_with_the_worker(study):
    job = yaml.safe_load(text("k8s", study))
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    assert job["metadata"]["name"].replace("-", "").isalnum()
    assert len(job["metadata"]["name"]) <= 63
    assert job["spec"]["parallelism"] == job["spec"]["completions"] == 16
    pod = job["spec"]["template"]["spec"]
    assert pod["activeDeadlineSeconds"] == 28800
    (container,) = pod["containers"]
    # Kubernetes makes one dollar of two, and looks for a variable behind a single one.
    assert all("$" not in word.replace("$$", "") for word in container["command"])
    assert [word.replace("$$", "$") for word in container["command"]] == ["hwkd", *expected(study)]
    limits = {"cpu": "2", "memory": "4096Mi"}
    assert container["resources"] == {"requests": limits, "limits": limits}
    password = {"secretKeyRef": {"name": "hwkd-database", "key": "password"}}
    assert {"name": "PGPASSWORD", "valueFrom": password} in container["env"]


@pytest.mark.parametrize("study", STUDIES)
def test_a_ray_job_runs_the_worker_in_every_task(study):
    program = ast.parse(text("ray", study))
    (command,) = (node.value for node in program.body if isinstance(node, ast.Assign))
    assert ast.literal_eval(command) == ["hwkd", *expected(study)]
    kinds = [type(node).__name__ for node in program.body]
    assert kinds == ["Import", "Import", "Import", "Assign", "FunctionDef", "Expr", "Expr"]


@pytest.mark.parametrize("system", ["slurm", "k8s", "ray"])
@pytest.mark.parametrize("url", [URL, "postgresql://hwkd@db.example/hwkd?password=secret"])
def test_no_password_is_written(system, url, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "")
    assert "secret@" not in text(system, url=url)
    assert "=secret" not in text(system, url=url)


def test_options_of_the_worker_and_of_the_job_are_written():
    options = {"workers": 3, "cpus": 1, "memory": "1.5GB", "time": "26h", "idle_exit": None}
    script = text("slurm", data="/data/my photos", spaces=["mine.py"], trust=True, **options)
    for line in (
        "--array=1-3", "--cpus-per-task=1", "--mem=1431M", "--time=26:00:00", "OMP_NUM_THREADS=1",
        "--data '/data/my photos'", "--space mine.py", "--trust", "--max-time 93480s",
    ):  # fmt: skip
        assert f"{line}\n" in script.replace(" \\\n", "\n")
    assert "--idle-exit" not in script


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prints": False}, "--print is missing"),
        ({"time": "5min"}, "--time 300s: .* give at least 10min"),
        ({"study": None}, "--study is missing"),
        ({"run": "sqlite:///runs.db"}, "sqlite serves one machine"),
        ({"run": "mysql://db/x"}, "mysql is no database that hwkd can share"),
        ({"run": "nowhere"}, "no such file or folder"),
        ({"system": "k8s"}, "--image is missing"),
        ({"system": "k8s", "image": "a", "secret": "a\nb: c"}, "is no name of a secret"),
        ({"memory": "4"}, "'4' has no unit"),
        ({"workers": 0}, "--workers: 0 should be greater"),
    ],
)
def test_what_is_wrong_is_one_line(options, message):
    given = {"system": "slurm", "run": URL, "study": "photos", "prints": True} | options
    with pytest.raises(ConfigError, match=message):
        hwkd.submit(**given)


@pytest.mark.slow
def test_a_run_folder_names_its_database(tmp_path: Path):
    run = make_shared_run(tmp_path)
    place = run.shared.place.model_copy(update={"url": "postgresql+psycopg://hwkd@db/hwkd"})
    (run.store.path / "storage.json").write_text(place.text())
    script = hwkd.submit("slurm", str(run.store.path), prints=True).text
    assert "--storage postgresql://hwkd@db/hwkd \\\n  --study tiny \\\n" in script
    (run.store.path / "storage.json").unlink()
    with pytest.raises(ConfigError, match="holds its trials itself"):
        hwkd.submit("slurm", str(run.store.path), prints=True)
