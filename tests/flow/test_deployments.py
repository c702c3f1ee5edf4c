import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml
from prefect import get_client
from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    RawScheduleConfig,
    WorkPoolConfig,
)
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import get_current_settings

from flows.config import Preset, Settings, read_preset

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


@pytest.mark.slow
def test_a_worker_runs_the_manual_deployment_to_its_end(tmp_path, tiny_settings):
    environment = os.environ | {
        "PREFECT_API_URL": str(get_current_settings().api.url),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }

    def prefect(*arguments: str) -> str:
        done = subprocess.run(
            ["prefect", "--no-prompt", *arguments],
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    prefect("work-pool", "create", "--type", "process", "fourier-deepfake")
    prefect("deploy", "--all")
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("pipeline/manual")
        parameters = {
            "settings": tiny_settings.model_dump(mode="json"),
            "workspace": str(tmp_path / "workspace"),
        }
        flow_run = client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
        log = prefect("worker", "start", "--pool", "fourier-deepfake", "--run-once", "--limit", "1")
        state = client.read_flow_run(flow_run.id).state
    assert state is not None
    assert state.is_completed(), f"{state}\n{log}"
    assert list((tmp_path / "workspace" / "reports").glob("*/report.html"))
