"""What is installed: the wheel, the requirement files, and what a plain import loads."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from dotenv import dotenv_values
from packaging.requirements import Requirement

from realtime_agent.config import Settings, load_settings

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(name: str) -> dict[str, str]:
    """The versions that a requirement file names."""
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / name).read_text(), re.MULTILINE))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, f"--wheel-dir={folder}", str(ROOT)], check=True, timeout=100)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_has_the_page_the_types_and_the_command(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    pages = {f"realtime_agent/playground/{path.name}" for path in (ROOT / "realtime_agent/playground").iterdir()}
    assert pages <= names
    assert {"realtime_agent/py.typed", "realtime_agent/playground/index.html"} <= names
    (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
    assert "realtime-agent = realtime_agent.main:main" in wheel.read(entry_points).decode()
    assert not [name for name in names if name.startswith(("tests", "bench", "docs"))]


def test_a_plain_import_loads_nothing_heavy() -> None:
    heavy = ("numpy", "onnxruntime", "faster_whisper", "hibari", "agora", "openai", "miniaudio")
    code = f"import sys, realtime_agent.main; print([name for name in {heavy!r} if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert output.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_the_pins_fit_the_dependencies(name: str) -> None:
    pinned = pins(name)
    for line in PROJECT["dependencies"]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(pinned[requirement.name]), f"{requirement}: run make lock"


def test_the_light_install_is_light_and_agrees_with_what_was_tested() -> None:
    light, tested = pins("requirements.txt"), pins("requirements-dev.txt")
    assert light.items() <= tested.items()
    assert not {"numpy", "onnxruntime", "agora-realtime-ai-api"} & light.keys()


def test_agoras_packages_are_apart() -> None:
    wanted = {Requirement(line).name: line for line in PROJECT["optional-dependencies"]["agora"]}
    pinned = pins("requirements-agora.txt")
    assert wanted.keys() <= pinned.keys()
    assert pinned["agora-realtime-ai-api"] == "1.1.0"
    assert pinned["agora-python-server-sdk"] == "2.1.7"


def test_the_env_example_lists_every_setting_with_its_default() -> None:
    example = ROOT / ".env.example"
    assert list(dotenv_values(example)) == [name.upper() for name in Settings.model_fields]
    assert load_settings({}, example) == Settings()
