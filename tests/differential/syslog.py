"""What a private server says to syslog, received by the test instead of by the host.

A thread reads a datagram socket of our own; `Server` puts a /dev with that socket as its `log` in front of the
host's /dev, in the server's mount namespace alone.
"""

from __future__ import annotations

import contextlib
import pathlib
import re
import socket
import threading
from typing import Final

_PRIORITY: Final = re.compile(r"<(\d+)>")
_ERROR: Final = 3  # emergency 0, alert 1, critical 2, error 3: what syslog.h calls an error or worse
_DATAGRAM_MAX: Final = 1 << 16


class Syslog:
    """Receives from entry to exit; `lines` counts all messages, `errors` keeps those of level error and worse."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.lines = 0
        self.errors: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._receive, daemon=True)

    def start(self) -> None:
        """Bind the socket, for anybody to write to, and receive."""
        self._socket.bind(str(self.path))
        self.path.chmod(0o666)
        self._thread.start()

    def stop(self) -> None:
        """Receive what has been sent, and no more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)
        if self._thread.is_alive():
            self._thread.join(5)
        self._socket.close()

    def _receive(self) -> None:
        while text := self._socket.recv(_DATAGRAM_MAX).decode("utf-8", "replace"):
            self.lines += 1
            found = _PRIORITY.match(text)
            if found and int(found[1]) & 7 <= _ERROR:
                self.errors.append(text)
