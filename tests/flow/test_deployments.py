import contextlib
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest
import yaml
from prefect import flow, get_client
from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    RawScheduleConfig,
    WorkPoolConfig,
)
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.events.schemas.automations import AutomationCore
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings
from prefect.states import Crashed, Running

from flows.config import Preset, Settings, read_preset
from storage.workspace import Workspace
from tasks.stage import Stage
from tasks.train import TRAIN

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def deployments(monkeypatch):
    monkeypatch.chdir(PROJECT)
    return yaml.safe_load((PROJECT / "prefect.yaml").read_text())


def test_prefect_would_ignore_no_key_of_the_deployments(deployments):
    PrefectYamlModel.model_validate(deployments)
    assert deployments.keys() <= PrefectYamlModel.model_fields.keys() | {"definitions"}
    for deployment in deployments["deployments"]:
        assert deployment.keys() <= DeploymentConfig.model_fields.keys()
        assert deployment["work_pool"].keys() <= WorkPoolConfig.model_fields.keys()
        assert deployment.get("concurrency_limit", {}).keys() <= ConcurrencyLimitSpec.model_fields.keys()
        for schedule in deployment.get("schedules", []):
            RawScheduleConfig.model_validate(schedule)


def test_the_pipeline_is_started_by_hand_or_every_night_and_detection_every_few_minutes(deployments):
    by_name = {deployment["name"]: deployment for deployment in deployments["deployments"]}
    assert {name: deployment["entrypoint"] for name, deployment in by_name.items()} == {
        "manual": "flows/pipeline.py:pipeline",
        "nightly": "flows/pipeline.py:pipeline",
        "detect": "flows/watch.py:detect",
    }
    assert not by_name["manual"].get("schedules")
    for name in ("nightly", "detect"):
        assert by_name[name]["schedules"]
        assert by_name[name]["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}


def test_the_parameters_of_each_deployment_fit_its_flow(deployments):
    for deployment in deployments["deployments"]:
        flow = load_flow_from_entrypoint(deployment["entrypoint"])
        parameters = flow.validate_parameters(deployment["parameters"])
        if "settings" in parameters:
            Settings.model_validate(parameters["settings"])


@pytest.mark.parametrize("entrypoint", ["pipeline.py:pipeline", "evaluate.py:evaluate", "watch.py:detect"])
def test_the_form_describes_each_setting_and_bounds_each_number(entrypoint):
    form = load_flow_from_entrypoint(f"flows/{entrypoint}").parameters.model_dump()
    sections = {"the call": form["properties"]} | {
        name: section["properties"]
        for name, section in form["definitions"].items()
        if "properties" in section
    }
    for section, properties in sections.items():
        for name, schema in properties.items():
            section_of = form["definitions"].get(schema.get("$ref", "").rpartition("/")[2], {})
            assert schema.get("description") or section_of.get("description"), f"{section}.{name}"
            for kind in schema.get("anyOf", [schema]):
                if kind.get("type") in ("integer", "number"):
                    assert {"minimum", "exclusiveMinimum"} & kind.keys(), f"{section}.{name}"
                    assert {"maximum", "exclusiveMaximum"} & kind.keys(), f"{section}.{name}"


def test_the_form_has_no_default_to_send_over_the_values_of_the_preset():
    form = Settings.model_json_schema()
    sections = {"Settings": form["properties"]} | {
        name: section["properties"] for name, section in form["$defs"].items() if "properties" in section
    }
    with_default = {
        f"{section}.{name}"
        for section, properties in sections.items()
        for name, schema in properties.items()
        if "default" in schema
    }
    switches = {
        f"{section}.{name}"
        for section, properties in sections.items()
        for name, schema in properties.items()
        if schema.get("type") == "boolean"
    }
    assert with_default == {"Settings.preset"} | switches


@pytest.mark.parametrize("preset", get_args(Preset))
def test_no_preset_sets_a_switch_since_the_form_sends_all_of_them(preset):
    found, values = [], [read_preset(preset)]
    while values:
        for value in values.pop().values():
            values += [value] if isinstance(value, dict) else []
            found += [value] if isinstance(value, bool) else []
    assert not found


@pytest.fixture
def automations():
    return yaml.safe_load((PROJECT / "automations.yaml").read_text())["automations"]


@pytest.fixture
def client():
    with get_client(sync_client=True) as client:
        yield client


def wait_for(client, run_id, reached):
    """The run, once `reached` says so of it."""
    deadline = time.monotonic() + 600
    while not reached(run := client.read_flow_run(run_id)):
        assert time.monotonic() < deadline, f"{run.name} is still {run.state}"
        time.sleep(0.1)
    return run


def test_prefect_would_ignore_no_key_of_the_automations(automations):
    for automation in automations:
        read = AutomationCore.model_validate(automation).model_dump(mode="json", exclude_unset=True)
        assert read.keys() == automation.keys()
        assert read["trigger"].keys() == automation["trigger"].keys()
        for understood, written in zip(read["actions"], automation["actions"], strict=True):
            assert understood.keys() == written.keys()


def test_the_automations_look_at_the_runs_of_every_deployment(automations, deployments):
    for automation in automations:
        tag = automation["trigger"]["match_related"]["prefect.resource.id"].removeprefix("prefect.tag.")
        assert all(tag in deployment["tags"] for deployment in deployments["deployments"])


@pytest.fixture
def own_server(tmp_path):
    """The address of a server as `prefect server start` starts it: the temporary one of the other tests makes no runs of schedules."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": str(tmp_path), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--no-ui", "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}/api"
        deadline = time.monotonic() + 240
        while not answers(f"{address}/health"):
            assert time.monotonic() < deadline, "the server did not start"
            assert server.poll() is None, "the server ended"
            time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(60)


def answers(address):
    try:
        with urllib.request.urlopen(address, timeout=10):
            return True
    except OSError:
        return False


@pytest.mark.slow
def test_the_server_makes_the_runs_of_a_schedule(own_server):
    every_hour = DeploymentScheduleCreate(schedule=IntervalSchedule(interval=timedelta(hours=1)), active=True)
    with temporary_settings({PREFECT_API_URL: own_server}), get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name("scheduled")
        deployment = client.create_deployment(flow_id, name="scheduled", schedules=[every_hour])
        mine = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
        deadline = time.monotonic() + 120
        while not client.read_flow_runs(deployment_filter=mine):
            assert time.monotonic() < deadline, "no run was scheduled: does sqlalchemy fit Prefect?"
            time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_that_crashed_is_started_again_once_and_not_for_ever(automations, client):
    again = AutomationCore.model_validate(automations[1])
    again.trigger.within = timedelta(seconds=10)  # the least that Prefect takes
    created = client.create_automation(again)
    flow_id = client.create_flow_from_name("crashing")
    deployment = client.create_deployment(flow_id, name="crashing", tags=["deepfake"])

    def crash(run_id):
        client.set_flow_run_state(run_id, Running(), force=True)
        client.set_flow_run_state(run_id, Crashed(), force=True)

    first, later = (client.create_flow_run_from_deployment(deployment).id for _ in range(2))
    crash(first)
    wait_for(client, first, lambda run: run.state_name == "AwaitingRetry")
    crash(first)
    crash(later)  # the server comes to it after the second crash of the first
    wait_for(client, later, lambda run: run.state_name == "AwaitingRetry")
    assert client.read_flow_run(first).state_name == "Crashed"
    client.delete_automation(created)


def test_one_training_at_a_time_is_let_onto_a_machine(tmp_path, client):
    inside, most, slots = set(), [], []
    met = threading.Barrier(2)

    def occupy(output, workspace, number):
        inside.add(number)
        most.append(len(inside))
        slots.append(client.read_global_concurrency_limit_by_name(f"tag:{stage.machine_tag}").active_slots)
        with contextlib.suppress(threading.BrokenBarrierError):
            met.wait(timeout=1)
        met.reset()
        inside.remove(number)

    stage = Stage("train", version=1, function=occupy, heavy=TRAIN.heavy)
    client.create_concurrency_limit(tag=f"train@{platform.node()}", concurrency_limit=1)
    workspace = Workspace(tmp_path).prepare()

    @flow
    def training(number):
        stage.task(workspace, refresh=True)(f"train {number}", {"number": number})

    runs = [threading.Thread(target=training, args=(number,)) for number in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert most == [1, 1]
    assert slots == [1, 1]


def test_what_is_cached_does_not_wait_for_a_training(tmp_path):
    assert TRAIN.task(Workspace(tmp_path), refresh=False).tags == set()
    assert TRAIN.task(Workspace(tmp_path), refresh=True).tags == {f"train@{platform.node()}"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_worker_runs_each_deployment_to_its_end_also_after_a_kill(
    tmp_path, tiny_settings, client, automations
):
    environment = os.environ | {
        "PREFECT_API_URL": str(get_current_settings().api.url),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    workspace, uploads = tmp_path / "workspace", tmp_path / "uploads"
    call = {"settings": tiny_settings.model_dump(mode="json"), "workspace": str(workspace)}

    def prefect(*arguments: str) -> None:
        done = subprocess.run(
            ["prefect", "--no-prompt", *arguments],
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(name, parameters):
        deployment = client.read_deployment_by_name(name)
        return client.create_flow_run_from_deployment(deployment.id, parameters=parameters).id

    def ends_well(run_id, attempts=1):
        run = wait_for(client, run_id, lambda run: run.state.is_final() and run.run_count >= attempts)
        assert run.state.is_completed(), f"{run.state}\n{log.read_text()}"

    prefect("work-pool", "create", "--type", "process", "fourier-deepfake")
    prefect("concurrency-limit", "create", f"train@{platform.node()}", "1")
    automations[1]["trigger"]["within"] = 20
    (tmp_path / "automations.yaml").write_text(yaml.safe_dump({"automations": automations}))
    prefect("automation", "create", "--from-file", str(tmp_path / "automations.yaml"))
    prefect("deploy", "--all")
    log = tmp_path / "worker.log"
    with log.open("w") as output:
        worker = subprocess.Popen(
            ["prefect", "worker", "start", "--pool", "fourier-deepfake"],
            cwd=PROJECT,
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        manual = start("pipeline/manual", call)
        killed = wait_for(client, manual, lambda _: any((workspace / "split").glob("*")))
        os.kill(int(killed.infrastructure_pid.rpartition(":")[2]), signal.SIGKILL)
        wait_for(client, manual, lambda run: run.state_name == "AwaitingRetry")
        ends_well(manual, attempts=2)
        [model] = workspace.glob("models/*")
        assert list(workspace.glob("reports/*/report.html"))
        uploads.mkdir()
        clip = next(workspace.rglob("fake/*.mp4"))
        shutil.copy(clip, uploads)
        watched = {"folder": str(uploads), "model": str(model), "workspace": str(workspace), "settle_s": 0}
        nightly, detection = start("pipeline/nightly", call), start("detect/detect", watched)
        ends_well(nightly)
        ends_well(detection)
    finally:
        worker.terminate()
        worker.wait()
    assert len(list(workspace.glob("models/*"))) == 1
    assert list(workspace.glob("detections/*/*.parquet"))
