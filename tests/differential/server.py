"""A private Cyrus IMAP server: its own directory, its own ports, its own groups; nothing of the host's.

One master process serves the same mailboxes under several configurations at once, each on a port of its own.
Who logs in may give any password (SASL's `alwaystrue`).  Groups are the system's, so the server runs in a
mount namespace in which another file stands in the place of /etc/group, and a /dev whose `log` the test itself
reads (`Server.syslog`).  Needs root and Debian's cyrus-imapd.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Final

from .imap import Session
from .syslog import Syslog

MASTER: Final = pathlib.Path("/usr/sbin/cyrmaster")
TOOLS: Final = pathlib.Path("/usr/lib/cyrus/bin")
_START_LIMIT_S: Final = 60.0
_STOP_LIMIT_S: Final = 20.0
# The argument 1 is the server's directory; everything after it is the master's command line.
_IN_NAMESPACE: Final = """set -e
mount --bind "$1/group" /etc/group
mount -t tmpfs tmpfs "$1/dev"
for node in null zero full random urandom; do touch "$1/dev/$node"; mount --bind "/dev/$node" "$1/dev/$node"; done
mkdir -m 1777 "$1/dev/shm"
ln -s /proc/self/fd "$1/dev/fd"
ln -s "$1/syslog" "$1/dev/log"
mount --rbind "$1/dev" /dev
shift
exec "$@"
"""
_COMMON: Final = {
    "defaultpartition": "default",
    "servername": "differential.invalid",
    "admins": "cyrus",
    "defaultdomain": "internal.invalid",
    "sasl_pwcheck_method": "alwaystrue",
    "sasl_mech_list": "PLAIN",
    "allowplaintext": "yes",
    "allowanonymouslogin": "yes",
    "anyoneuseracl": "yes",
    "sieveusehomedir": "no",
    "auth_mech": "unix",
    "unix_group_enable": "yes",
    "maxlogins_per_host": "0",
    "statuscache": "no",
    "conversations": "no",
    "mboxlist_db": "twoskip",
}


def require() -> None:
    """Raises AssertionError where no server can run: a differential test fails then, it is never skipped."""
    assert os.geteuid() == 0, "differential tests need root, for the server's own mount namespace"
    assert MASTER.exists(), "differential tests need Debian's cyrus-imapd: apt-get install cyrus-imapd"


@contextlib.contextmanager
def reachable_folder() -> Iterator[pathlib.Path]:
    """A directory that the server's user can reach, unlike pytest's, and that is removed in the end."""
    with tempfile.TemporaryDirectory(prefix="pyxlist-cyrus-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        yield folder


class Server:
    """A context manager: started on entry, stopped with all its processes on exit.

    `configurations` are imapd.conf options beyond the common ones, `groups` map a group to its users.
    """

    def __init__(
        self,
        root: pathlib.Path,
        configurations: Sequence[Mapping[str, str]],
        groups: Mapping[str, Sequence[str]],
        **common: str,
    ) -> None:
        """`root` is a directory of the server's own, which is emptied first; `common` goes to all."""
        self.root = root
        self.configurations = list(configurations)
        self.groups = groups
        self.common = {**_COMMON, **common}
        self.ports = _free_ports(len(self.configurations))
        self.syslog = Syslog(root / "syslog")
        self._master: subprocess.Popen[bytes] | None = None

    @property
    def directory(self) -> pathlib.Path:
        """The configdirectory: mailboxes.db, annotations.db and the users' subscriptions live here."""
        return self.root / "conf"

    def imapd_conf(self, number: int) -> pathlib.Path:
        """The file of one configuration."""
        return self.root / f"imapd-{number}.conf"

    def session(self, userid: str, number: int = 0) -> Session:
        """A session under configuration `number`, logged in."""
        return Session(self.ports[number]).login(userid)

    def tool(self, name: str, *arguments: str | pathlib.Path) -> None:
        """Run one of Cyrus' own tools; raises CalledProcessError."""
        command = [TOOLS / name, "-C", self.imapd_conf(0), *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=_START_LIMIT_S)

    def __enter__(self) -> Server:
        require()
        self._lay_out()
        self.syslog.start()
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self.syslog.stop()

    def _lay_out(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        for name in ("db", "log", "msg", "user", "quota", "socket"):
            (self.directory / name).mkdir(parents=True)
        for name in ("spool/stage.", "proc", "lock", "sieve", "dev"):
            (self.root / name).mkdir(parents=True)
        for number, options in enumerate(self.configurations):
            self.imapd_conf(number).write_text(self._imapd_conf({**self.common, **options}))
        (self.root / "cyrus.conf").write_text(self._cyrus_conf())
        lines = [f"{name}:x:{61000 + n}:{','.join(users)}\n" for n, (name, users) in enumerate(self.groups.items())]
        (self.root / "group").write_text(pathlib.Path("/etc/group").read_text() + "".join(lines))
        subprocess.run(["chown", "-R", "cyrus:mail", self.root], check=True)

    def _imapd_conf(self, options: Mapping[str, str]) -> str:
        root = self.root
        places = {
            "configdirectory": self.directory,
            "partition-default": root / "spool",
            "proc_path": root / "proc",
            "mboxname_lockpath": root / "lock",
            "sievedir": root / "sieve",
        }
        return "".join(f"{name}: {value}\n" for name, value in {**places, **options}.items())

    def _cyrus_conf(self) -> str:
        service = '  imap{n} cmd="{tools}/imapd -C {conf} -U 1000 -T 300" listen="127.0.0.1:{port}" proto="tcp4"\n'
        services = [
            service.format(n=number, tools=TOOLS, conf=self.imapd_conf(number), port=port)
            for number, port in enumerate(self.ports)
        ]
        recover = f'START {{\n  recover cmd="{TOOLS}/ctl_cyrusdb -C {self.imapd_conf(0)} -r"\n}}\n'
        return recover + "SERVICES {\n" + "".join(services) + "}\nEVENTS {\n}\n"

    def _start(self) -> None:
        script = ["unshare", "-m", "--propagation", "private", "sh", "-c", _IN_NAMESPACE, "sh", str(self.root)]
        files = ["-C", str(self.imapd_conf(0)), "-M", f"{self.root}/cyrus.conf", "-p", f"{self.root}/master.pid"]
        with open(self.root / "master.log", "ab") as log:
            self._master = subprocess.Popen(
                [*script, MASTER, *files, "-D"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )
        limit = time.monotonic() + _START_LIMIT_S
        for port in self.ports:
            while not self._answers(port):
                if self._master.poll() is not None or time.monotonic() > limit:
                    self._stop()
                    raise AssertionError(f"cyrmaster does not serve: {(self.root / 'master.log').read_text()}")
                time.sleep(0.05)

    def _answers(self, port: int) -> bool:
        try:
            Session(port, 5.0).close()
        except OSError:
            return False
        return True

    def _stop(self) -> None:
        """SIGQUIT asks the master to end itself and its children."""
        master, self._master = self._master, None
        if master is None or master.poll() is not None:
            return
        for sign in (signal.SIGQUIT, signal.SIGTERM, signal.SIGKILL):
            master.send_signal(sign)
            try:
                master.wait(_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                continue
            return


def _free_ports(count: int) -> list[int]:
    """Ports nobody listens on at this moment."""
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports
