"""What all tests share: nothing may reach the network; the demo's person, whose truth is known."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from liquidwarp.body.anny import AnnyBody
    from liquidwarp.recover.photos import SourcePhotos

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


@pytest.fixture(scope="session")
def anny() -> "AnnyBody":
    """The bundled body."""
    from liquidwarp.body.anny import AnnyBody

    return AnnyBody.load()


@pytest.fixture(scope="session")
def demo_photos(anny: "AnnyBody") -> "SourcePhotos":
    """The demo's front and back at a quarter of their size (192 x 256 px) with true bodies and mattes."""
    import numpy as np
    import torch
    from PIL import Image

    from liquidwarp.body.model import BodyParams
    from liquidwarp.geometry.camera import WeakPerspective
    from liquidwarp.recover.digitize import Recovery
    from liquidwarp.recover.photos import SourcePhotos, silhouette
    from liquidwarp.weights import asset, load_tensors

    def picture(name: str) -> np.ndarray:
        return np.array(Image.open(asset(f"demo/{name}")).resize((192, 256), Image.Resampling.BOX))

    truth, _ = load_tensors(asset("demo/truth.safetensors"))
    camera = WeakPerspective(truth["scale"], truth["translation"]).resized(0.25)
    body = BodyParams(truth["betas"], truth["rel_rotmats"], camera)
    everything = torch.ones(2, dtype=torch.bool)
    return SourcePhotos(
        name="front",
        pictures=(picture("front.jpg"), picture("back.jpg")),
        alphas=(None, None),
        recovery=Recovery(body, (), everything, everything[:, None].expand(2, len(anny.parents)), 0.0, ()),
        mattes=(picture("front_matte.png"), picture("back_matte.png")),
        silhouettes=tuple(silhouette(anny, body[slice(i, i + 1)], (256, 192)) for i in range(2)),
    )
