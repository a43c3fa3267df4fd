"""Where embedded servers keep sockets and data, and as whom they run."""

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from config.process import User

SOCKET_PATH_LIMIT = 100  # the kernel's is 107 bytes, and servers add a suffix
SHORT_TEMP = Path("/tmp")  # noqa: S108 - a short path; the folder in it is checked


def package_folder(package: str) -> Path:
    """The folder of an installed package, found without importing it.

    Raises:
        FileNotFoundError: The package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        message = f"{package} is not installed: run `make` to install requirements"
        raise FileNotFoundError(message)
    return Path(next(iter(spec.submodule_search_locations)))


def digest(path: Path) -> str:
    """Eight characters that stand for a path in a short name."""
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:8]


def runtime_path(data_dir: Path) -> Path:
    """Where the sockets of an installation lie: short enough for the kernel."""
    name = f"shipworthy-{os.getuid()}-{digest(data_dir)}"
    folder = Path(tempfile.gettempdir()) / name
    if len(os.fsencode(folder / "postgres/.s.PGSQL.5432")) > SOCKET_PATH_LIMIT:
        folder = SHORT_TEMP / name
    return folder


def runtime_folder(data_dir: Path) -> Path:
    """``runtime_path``, made and private.

    Raises:
        PermissionError: Somebody else owns the folder of that name.
    """
    # Root's PostgreSQL runs as another user, who must be able to pass through.
    mode = 0o711 if os.getuid() == 0 else 0o700
    return private_folder(runtime_path(data_dir), mode=mode)


def leave_runtime_folder(data_dir: Path) -> None:
    """Remove the folder of sockets once nothing is in it."""
    with suppress(OSError):
        runtime_path(data_dir).rmdir()


def private_folder(
    folder: Path, *, mode: int = 0o700, owner: User | None = None
) -> Path:
    """Make a folder in a shared place, or take it if it is truly ours.

    Args:
        folder: Its parent must exist.
        mode: Its permissions.
        owner: Who shall own it; ourselves when None.

    Raises:
        PermissionError: It is a link or belongs to somebody else.
    """
    folder.mkdir(mode=mode, exist_ok=True)
    found = folder.lstat()
    uids = {os.getuid()} | ({owner.uid} if owner else set())
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in uids:
        message = f"{folder} is not a folder of ours: remove it, or set TMPDIR"
        raise PermissionError(message)
    folder.chmod(mode)
    if owner:
        os.chown(folder, owner.uid, owner.gid)
    return folder


def server_user() -> User | None:
    """Whom PostgreSQL runs as: None for ourselves; root takes ``nobody``.

    Raises:
        PermissionError: We are root and the system has no such user.
    """
    if os.getuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        message = "PostgreSQL refuses to run as root and there is no user 'nobody'"
        raise PermissionError(f"{message}: run this as an ordinary user") from None
    return User(entry.pw_uid, entry.pw_gid)


def reachable(path: Path, user: User) -> bool:
    """Whether ``user`` may pass through every folder down to ``path``."""
    for folder in (path, *path.parents):
        if not folder.exists():
            continue
        found = folder.stat()
        bit = stat.S_IXUSR if found.st_uid == user.uid else stat.S_IXOTH
        if not found.st_mode & bit:
            return False
    return True


def cluster_folder(data_dir: Path, user: User | None) -> Path:
    """A folder owned by ``user`` for the cluster, in ``data_dir`` if it can be."""
    data_dir.mkdir(parents=True, exist_ok=True)
    if user is None or reachable(data_dir, user):
        return private_folder(data_dir / "postgres", owner=user)
    outside = private_folder(outside_path(data_dir), mode=0o711)
    folder = private_folder(outside / "postgres", owner=user)
    print(  # noqa: T201 - a person must know where the data lies
        f"PostgreSQL's user cannot reach {data_dir}: its data lies in {folder}",
        file=sys.stderr,
    )
    return folder


def outside_path(data_dir: Path) -> Path:
    """A path under the system's temporary folder, named after the checkout."""
    checkout = Path(__file__).resolve().parents[2]
    name = f"shipworthy-data-{checkout.name}-{digest(data_dir)}"
    return Path(tempfile.gettempdir()) / name


def reachable_install(install: Path, user: User | None) -> Path:
    """``install`` itself, or a copy of it where ``user`` cannot reach it."""
    if user is None or reachable(install.resolve(), user):
        return install
    name = f"shipworthy-{install.name}-{digest(install)}"
    shared = private_folder(Path(tempfile.gettempdir()) / name, mode=0o755)
    copy = shared / install.name
    if not copy.exists():
        partial = shared / f"{install.name}.{os.getpid()}"
        shutil.copytree(
            install, partial, symlinks=True, ignore=shutil.ignore_patterns("include")
        )
        try:
            partial.rename(copy)
        except OSError:  # another process was faster
            shutil.rmtree(partial)
    return copy
