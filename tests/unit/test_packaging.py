import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PACKAGES = ("flows", "tasks", "fourier_model", "storage")


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_distribution_claims_the_name_of_a_package(package):
    assert set(metadata.packages_distributions()[package]) == {"fourier-deepfake"}


@pytest.mark.parametrize(
    "module",
    ["flows.cli", "storage.manifest", "storage.layouts", "tasks.extract", "tasks.train", "tasks.evaluate"],
)
def test_importing_a_module_does_not_import_tensorflow(module):
    code = f"import sys, {module}; sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_command_line_starts_without_prefect_numpy_or_pandas():
    code = "import sys, flows.cli; sys.exit(any(name in sys.modules for name in ('prefect', 'numpy', 'pandas', 'pydantic')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_constraints_hold_versions_and_no_addresses():
    for line in (PROJECT / "constraints.txt").read_text().splitlines():
        assert "==" in line
        assert "://" not in line


def test_every_package_of_the_tree_is_installed():
    import tomllib

    listed = set(tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {
        path.parent.relative_to(PROJECT).as_posix().replace("/", ".")
        for package in PACKAGES
        for path in (PROJECT / package).rglob("__init__.py")
    }
    assert listed == found | {"flows.presets", "tasks.templates"}  # folders of data
