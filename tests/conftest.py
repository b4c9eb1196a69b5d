"""What all tests share: nothing may reach the network."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

NO_NETWORK = """
import socket

def _blocked(*arguments, **options):
    raise AssertionError(f"the network was asked for: {arguments}")

socket.getaddrinfo = socket.create_connection = _blocked
_connect = socket.socket.connect
socket.socket.connect = lambda self, address: (
    _connect(self, address) if self.family == getattr(socket, "AF_UNIX", None) else _blocked(address)
)
"""


@pytest.fixture(autouse=True)
def _no_network() -> Iterator[None]:
    """Any attempt to reach the network fails the test."""
    import socket

    kept = (socket.getaddrinfo, socket.create_connection, socket.socket.connect)
    exec(compile(NO_NETWORK, "no_network", "exec"), {})
    yield
    socket.getaddrinfo, socket.create_connection, socket.socket.connect = kept  # type: ignore[method-assign]


@pytest.fixture
def run_offline(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run ``liquidwarp WORDS...`` in a process of its own, without network, with a cache of its own.

    Use it for whole runs: ``run_offline("imitate", "--source", ...)``; the result has returncode, stdout, stderr.
    """
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NO_NETWORK)

    def run(*words: str, timeout: float = 300) -> "subprocess.CompletedProcess[str]":
        paths = [str(tmp_path / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
        return subprocess.run(
            [sys.executable, "-c", "import liquidwarp.cli; liquidwarp.cli.main()", *words],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(paths),
                "LIQUIDWARP_CACHE": str(tmp_path / "cache"),
                "OMP_NUM_THREADS": "1",
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
