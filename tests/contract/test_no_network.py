"""The guard against network access works; the package asks for none."""

import socket
import urllib.request

import pytest


def test_guard_is_awake():
    with pytest.raises(AssertionError, match="the network was asked for"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with pytest.raises(AssertionError, match="the network was asked for"):
        urllib.request.urlopen("http://example.org", timeout=1)


def test_guard_is_awake_in_processes(run_offline, tmp_path):
    import subprocess
    import sys

    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "the network was asked for" in done.stderr


def test_doctor_asks_for_no_network(run_offline):
    done = run_offline("doctor")
    assert done.returncode == 0, done.stderr
    assert "codecs" in done.stdout
