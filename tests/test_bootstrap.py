"""`python3 -m oms` on a machine that has Python and this checkout, nothing else.

The installer is replaced by a small script called `uv`, so that nothing here needs a network.
"""

import ast
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from oms import PUBLIC
from oms import __main__ as bootstrap
from oms.cli import extra
from oms.cli.output import Options, Output
from oms.errors import EnvironmentProblem
from tests.checkout import ROOT

SITE_PACKAGES = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"

FAKE_UV = """#!{shell}
echo "$1" >> "{calls}"
if [ "$1" = venv ]; then
    for folder; do :; done
    mkdir -p "$folder/bin" "$folder/{site}/pydantic"
    ln -sf "{python}" "$folder/bin/python"
    echo "home = {home}" > "$folder/pyvenv.cfg"
    printf '%s\\n' "{packages}" > "$folder/{site}/shared.pth"
fi
sleep "${{FAKE_UV_SLEEP:-0}}"
exit "${{FAKE_UV_EXIT:-0}}"
"""


class Machine:
    """A machine with one checkout, a Python without packages, and a pretended installer."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "a check out"
        self.calls = folder / "calls"
        self.tools = folder / "tools"
        self.tools.mkdir()
        shutil.copytree(ROOT / "oms", self.checkout / "oms", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "requirements.txt"):
            shutil.copy(ROOT / name, self.checkout / name)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "bare"], check=True)
        self.python = folder / "bare" / "bin" / "python"
        self.environment = {"PATH": f"{self.tools}:{os.defpath}", "HOME": str(folder / "empty home")}

    def pretend_uv(self) -> None:
        """Put an installer on the PATH that links this test's packages."""
        shell = shutil.which("sh")
        assert shell is not None
        base = getattr(sys, "_base_executable", sys.executable)
        packages = Path(pytest.__file__).parents[1]
        text = FAKE_UV.format(
            shell=shell,
            calls=self.calls,
            site=SITE_PACKAGES,
            python=base,
            home=Path(base).parent,
            packages=packages,
        )
        (self.tools / "uv").write_text(text)
        (self.tools / "uv").chmod(0o755)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start `python -m oms words` without a terminal."""
        return subprocess.Popen(
            [self.python, "-m", "oms", *words],
            cwd=self.checkout,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, **environment: str) -> tuple[int, str, str]:
        """(exit code, stdout, stderr) of `python -m oms words`."""
        process = self.start(*words, **environment)
        out, err = process.communicate(timeout=600)
        return process.returncode, out, err

    def installations(self) -> int:
        """How often packages were installed."""
        return self.calls.read_text().split().count("pip") if self.calls.exists() else 0


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_installs_once_and_goes_on_inside(machine: Machine) -> None:
    machine.pretend_uv()
    code, out, err = machine.run("config", "check", "--json")
    assert (code, json.loads(out)["ok"]) == (0, True), err
    assert "installing" in err
    code, out, err = machine.run("config", "check", "--quiet")
    assert (code, out, err) == (0, "", "")
    assert machine.installations() == 1


def test_installs_again_when_the_lock_changes(machine: Machine) -> None:
    machine.pretend_uv()
    machine.run("config", "check")
    with (machine.checkout / "requirements.txt").open("a") as lock:
        lock.write("# changed\n")
    assert machine.run("config", "check")[0] == 0
    assert machine.installations() == 2


def test_the_archive_installs_its_packages_when_it_is_asked_for(machine: Machine) -> None:
    for name in ("eventlog", "replay"):
        shutil.copytree(ROOT / name, machine.checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    machine.pretend_uv()
    assert machine.run("config", "check")[0] == 0
    assert machine.installations() == 1
    words = ("archive", "2026-03", "--to", "x", "--db", "postgresql://nobody@127.0.0.1:1/nothing")
    code, _, err = machine.run(*words)
    assert (code, "installing 2 locked packages" in err, "OMS-D001" in err) == (3, True, True), err
    assert machine.installations() == 2
    assert machine.run(*words)[0] == 3
    assert machine.installations() == 2


def test_elsewhere_the_archive_says_which_packages_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "is_inside", lambda: False)
    monkeypatch.setattr(extra, "ARCHIVE", ("pyarrow", "no_such_package"))
    with pytest.raises(EnvironmentProblem) as caught:
        extra.require_archive(Output(Options(quiet=True)))
    assert (caught.value.code, caught.value.where) == ("OMS-E005", "no_such_package")
    assert "oms[archive]" in str(caught.value.hint)


def test_the_extra_is_what_its_lock_holds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {re.split(r"[<>=]", one)[0] for one in project["optional-dependencies"]["archive"]}
    locked = {line.split("==")[0] for line in extra.LOCK.read_text().splitlines() if "==" in line}
    assert named == locked == set(extra.ARCHIVE)


def test_two_at_once_install_once(machine: Machine) -> None:
    machine.pretend_uv()
    both = [machine.start("config", "check", FAKE_UV_SLEEP="3") for _ in range(2)]
    heard = [process.communicate(timeout=600)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], heard
    assert sorted("waiting" in text for text in heard) == [False, True]
    assert machine.installations() == 1


def test_redoes_an_interrupted_installation(machine: Machine) -> None:
    machine.pretend_uv()
    process = machine.start("config", "check", FAKE_UV_SLEEP="600")
    stamp = machine.checkout / ".venv" / "oms-lock.sha256"
    deadline = time.monotonic() + 300
    while not (stamp.exists() and machine.calls.exists()) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=600)
    assert process.returncode == 130
    (machine.checkout / ".venv" / "half a package").touch()
    assert machine.run("config", "check")[0] == 0
    assert not (machine.checkout / ".venv" / "half a package").exists()


def test_rebuilds_when_the_python_behind_it_is_gone(machine: Machine) -> None:
    machine.pretend_uv()
    machine.run("config", "check")
    python = machine.checkout / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("nowhere")
    assert machine.run("config", "check")[0] == 0
    assert machine.installations() == 2


def test_uses_packages_that_are_there_already(machine: Machine) -> None:
    packages = machine.python.parents[1] / SITE_PACKAGES
    (packages / "shared.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n")
    assert machine.run("config", "check")[0] == 0
    assert not (machine.checkout / ".venv").exists()


def test_names_the_one_line_to_type_without_ensurepip(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "sitecustomize.py").write_text("import sys\nsys.modules['ensurepip'] = None\n")
    code, out, err = machine.run("config", "check", "--json", PYTHONPATH=str(tmp_path / "blocked"))
    assert code == 3
    assert "OMS-E002" in err
    assert "apt install python3." in err
    assert json.loads(out)["error"]["code"] == "OMS-E002"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "WARNING: Retrying (Retry(total=0)) after NewConnectionError\nERROR: No matching distribution",
            "reached",
        ),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n    at length", "refused"),
    ],
)
def test_shortens_what_pip_says(machine: Machine, said: str, why: str) -> None:
    venv = machine.checkout / ".venv"
    shutil.copytree(machine.python.parents[1], venv, symlinks=True)
    pip = venv / SITE_PACKAGES / "pip"
    pip.mkdir()
    (pip / "__main__.py").write_text(f"print({said!r}); raise SystemExit(1)\n")
    code, out, err = machine.run("config", "check")
    assert (code, out) == (3, "")
    assert "OMS-E003" in err
    assert why in err
    assert "Traceback" not in err
    assert len(err.splitlines()) < 8
    assert "unfinished" in (venv / "oms-lock.sha256").read_text()


def test_help_needs_no_packages_and_no_patience(machine: Machine) -> None:
    took = [1.0]
    while min(took) >= 0.3 and len(took) < 20:  # A busy machine spoils some tries, not twenty.
        before = processor_seconds()
        code, out, err = machine.run("--help")
        took.append(processor_seconds() - before)
        assert (code, err) == (0, "")
        assert "Commands:" in out
    assert not (machine.checkout / ".venv").exists()
    assert min(took) < 0.3


def processor_seconds() -> float:
    """What ended children have used: unlike time on the wall it does not depend on a busy machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("name", ["__main__.py", "__init__.py"])
def test_an_old_python_understands_the_entry(name: str) -> None:
    text = (ROOT / "oms" / name).read_text(encoding="utf-8")
    ast.parse(text, feature_version=(3, 6))


def test_an_old_python_is_told_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 6, 15))
    with pytest.raises(SystemExit) as left:
        bootstrap.main()
    assert left.value.code == 3
    assert "Python 3.11 or newer" in capsys.readouterr().err


def test_importing_the_package_costs_nothing() -> None:
    program = (
        "import sys; before = set(sys.modules); import oms; print(sorted(set(sys.modules) - before));"
        "oms.ConfigError; print('oms.errors' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["['oms']", "True"]


def test_type_checkers_see_the_public_names() -> None:
    tree = ast.parse((ROOT / "oms" / "__init__.py").read_text(encoding="utf-8"))
    imported = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert imported == PUBLIC
