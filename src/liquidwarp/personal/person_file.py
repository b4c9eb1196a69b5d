"""A personalised person on disk: one ``.liquid`` file, in safetensors, that every command takes as ``--source``.

It holds what changed in the network, the person's crops, mattes, bodies, first photo and background, the settings and
a digest of all of it. Pictures lie in it as PNG. The sources' features are not in it: they are computed from the crops
in less time than reading them would take, and are larger than all the rest.
"""

import io
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from liquidwarp.backdrop import SHADE, Still
from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.cache import digest_of_tensors
from liquidwarp.config import SynthesisConfig
from liquidwarp.errors import SettingError, WeightsCorruptError
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.pictures import to_picture, to_tensor
from liquidwarp.personal.changes import Change
from liquidwarp.personal.person import PersonalBank, Tuning, network_digest, with_tuning
from liquidwarp.renderers import load_network
from liquidwarp.synthesizer import CutOut, equip_bank
from liquidwarp.weights import load_tensors, save_tensors

__all__ = ["PERSON_SUFFIX", "check_person", "load_person", "save_person"]

PERSON_SUFFIX = ".liquid"
_FORMAT = "liquidwarp-person-1"


def save_person(path: str | Path, person: PersonalBank) -> Path:
    """Write a person, whole or not at all.

    Args:
        path: Ends in ``.liquid``.
        person: From :func:`liquidwarp.personal.person.personalise_banks`.

    Raises:
        SettingError: another suffix.
        MediaError: the place cannot be written, or the disk is full.
    """
    path, tuning = Path(path), person.tuning
    if path.suffix != PERSON_SUFFIX:
        raise SettingError(f"out: expected a name that ends in {PERSON_SUFFIX}, got {path.name}.")
    tensors = {f"change/{name}": tensor for name, tensor in tuning.change.tensors.items()}
    for index, (image, matte) in enumerate(zip(person.images, person.sources.mattes[0], strict=True)):
        tensors |= {f"image/{index}": _png(to_picture(image)), f"matte/{index}": _png(to_picture(matte)[..., 0])}
    tensors |= {"picture": _png(person.picture), "background": _png(person.background)}
    tensors |= _of_body("bodies", person.bodies) | _of_body("body", person.body)
    facts = {name: value for name, value in asdict(tuning).items() if name != "change"}
    about = json.dumps({"name": person.name, "notes": list(person.notes), "tuning": facts}, sort_keys=True)
    metadata = {"format": _FORMAT, "version": version("liquidwarp"), "about": about}
    return save_tensors(path, tensors, metadata | {"digest": _digest(tensors, about)})


def check_person(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What a file holds, if it is whole.

    Raises:
        WeightsNotFoundError: no such file.
        WeightsCorruptError: damaged, or of another version.
    """
    tensors, metadata = load_tensors(path, _FORMAT)
    if metadata.get("digest") != _digest(tensors, metadata.get("about", "")):
        raise WeightsCorruptError(f"{path}: the content differs from what was written. Copy or make it again.")
    return tensors, metadata


def load_person(
    path: str | Path, model: BodyModel, config: SynthesisConfig, device: torch.device | str = "cpu"
) -> PersonalBank:
    """Read a person.

    Args:
        path: The file.
        model: The body, on the CPU.
        config: How frames are made; size, margin and extension are the file's.
        device: Where frames will be rendered.

    Raises:
        WeightsNotFoundError: no such file, or the network that it is a change of is not there.
        WeightsCorruptError: damaged, of another version, or of other network weights.
    """
    tensors, metadata = check_person(path)
    about = metadata["about"]
    try:
        tuning, cut = _read(tensors, json.loads(about))
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise WeightsCorruptError(
            f"{path}: a person's file of another version ({metadata.get('version')}): {error}. Personalize again."
        ) from error
    name, pretrained = load_network(tuning.network, device)
    if pretrained is None or network_digest(pretrained) != tuning.digest:
        raise WeightsCorruptError(
            f"{path}: made with other weights of the network {name!r} than these (liquidwarp "
            f"{metadata.get('version')}). Personalize again."
        )
    settings = SynthesisConfig(
        size=tuning.size,
        margin=tuning.margin,
        extension=tuning.extension,  # type: ignore[arg-type]
        half=config.half,
    )
    bank = equip_bank(cut, model, settings, pretrained, device)
    return with_tuning(bank, tuning, pretrained)


def _read(tensors: dict[str, Tensor], about: dict[str, Any]) -> tuple[Tuning, CutOut]:
    change = {name.removeprefix("change/"): value for name, value in tensors.items() if name.startswith("change/")}
    tuning = Tuning(change=Change(change), **about["tuning"])
    bodies = _to_body("bodies", tensors)
    numbers = range(len(bodies))
    return tuning, CutOut(
        name=about["name"],
        images=torch.cat([to_tensor(_picture(tensors[f"image/{index}"])) for index in numbers]),
        mattes=torch.cat([to_tensor(_picture(tensors[f"matte/{index}"])[..., None]) for index in numbers]),
        bodies=bodies,
        body=_to_body("body", tensors),
        picture=_picture(tensors["picture"]),
        backdrop=Still(_picture(tensors["background"]), SHADE),
        notes=tuple(about["notes"]),
    )


def _digest(tensors: dict[str, Tensor], about: str) -> str:
    names = sorted(tensors)
    text = torch.frombuffer(bytearray("\n".join([about, *names]).encode()), dtype=torch.uint8)
    return digest_of_tensors(text, *(tensors[name] for name in names))


def _png(picture: UInt8[np.ndarray, "..."]) -> Tensor:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG", optimize=True)
    return torch.frombuffer(bytearray(stream.getvalue()), dtype=torch.uint8)


def _picture(data: Tensor) -> UInt8[np.ndarray, "..."]:
    with Image.open(io.BytesIO(data.numpy().tobytes()), formats=["PNG"]) as image:
        return np.array(image)


def _of_body(name: str, body: BodyParams) -> dict[str, Tensor]:
    parts = {
        "betas": body.betas,
        "rel_rotmats": body.rel_rotmats,
        "scale": body.camera.scale,
        "translation": body.camera.translation,
    }
    return {f"{name}/{part}": tensor.detach().cpu().clone() for part, tensor in parts.items()}


def _to_body(name: str, tensors: dict[str, Tensor]) -> BodyParams:
    camera = WeakPerspective(tensors[f"{name}/scale"], tensors[f"{name}/translation"])
    return BodyParams(tensors[f"{name}/betas"], tensors[f"{name}/rel_rotmats"], camera)
