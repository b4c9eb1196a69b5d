"""Turn an SMPL ``.pkl`` file into the ``.npz`` that ``liquidwarp.body.smpl`` reads.

    python scripts/convert_smpl.py SMPL_NEUTRAL.pkl SMPL_NEUTRAL.npz

A pickle names the functions that rebuild its content. Here only those of plain arrays are allowed; the old chumpy and
scipy classes in SMPL's files are read as bare data, so that neither chumpy nor old versions are needed and nothing
else in the file can run.
"""

import argparse
import pickle
from pathlib import Path

import numpy as np
from scipy.sparse import csc_matrix

_REBUILD = {"_reconstruct": np.zeros(1).__reduce__()[0], "scalar": np.float64(0).__reduce__()[0]}
"""numpy's own functions, which live in another module in each version."""
ARRAYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights", "f")


class Data:
    """Stands in for an object of a foreign class: its attributes without its code."""

    def __new__(cls, *_: object) -> "Data":
        """Ignore what the class's constructor would have taken."""
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        self.state: dict[str, object] = {}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.state = state


class ArrayUnpickler(pickle.Unpickler):
    """Rebuilds arrays and nothing else."""

    def find_class(self, module: str, name: str) -> object:
        """The few names that SMPL's files need."""
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name in _REBUILD:
            return _REBUILD[name]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if module == "_codecs" and name == "encode":
            return _encode
        if module.startswith("chumpy.") or (module.startswith("scipy.sparse") and name == "csc_matrix"):
            return Data
        if name == "_reconstructor" and module in ("copy_reg", "copyreg"):
            return lambda cls, base, state: Data() if cls is Data else _refuse(module, name)
        if name == "object" and module in ("__builtin__", "builtins"):
            return object
        return _refuse(module, name)


def _encode(text: str, encoding: str) -> bytes:
    return text.encode("latin1" if encoding == "latin1" else "ascii")


def _refuse(module: str, name: str) -> object:
    raise pickle.UnpicklingError(f"the file asks for {module}.{name}, which no SMPL file needs; it is not read")


def plain(value: object) -> np.ndarray:
    """An array from an array, a chumpy array (its ``x``) or a sparse matrix."""
    if isinstance(value, Data) and "x" in value.state:
        return np.asarray(value.state["x"])
    if isinstance(value, Data) and "indptr" in value.state:
        state = value.state
        shape = state.get("_shape", state.get("shape"))
        return np.asarray(csc_matrix((state["data"], state["indices"], state["indptr"]), shape=shape).todense())
    return np.asarray(value)


def convert(source: Path, target: Path) -> None:
    """Read ``source`` (.pkl), write ``target`` (.npz)."""
    with source.open("rb") as stream:
        content = ArrayUnpickler(stream, encoding="latin1").load()
    missing = [name for name in ARRAYS if name not in content]
    if missing:
        raise SystemExit(f"{source}: not an SMPL file, it lacks {', '.join(missing)}.")
    extra = [name for name in ("vt", "ft") if name in content]
    np.savez(target, **{name: plain(content[name]) for name in (*ARRAYS, *extra)})


def main() -> None:
    """Convert one file."""
    parser = argparse.ArgumentParser(description="Turn an SMPL .pkl file into .npz without running what is in it.")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    convert(arguments.source, arguments.target)


if __name__ == "__main__":
    main()
