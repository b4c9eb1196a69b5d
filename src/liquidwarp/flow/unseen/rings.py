"""The hidden sides of torso and limbs in a person's texture: which seen places lend them their colours."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS, mirrored
from liquidwarp.flow.colours.cloth import same_cloth
from liquidwarp.flow.colours.complexion import like_face
from liquidwarp.flow.colours.tone import Common
from liquidwarp.flow.mesh.surface import rest_coordinates
from liquidwarp.flow.seen.contamination import minority
from liquidwarp.flow.unseen.coat import Beside, below_coat, covered_rows, find_coat
from liquidwarp.flow.unseen.pattern import patterned_rows
from liquidwarp.flow.unseen.tubes import COLUMNS, ROWS, Tube, complete_rings, tube_of, unroll

__all__ = ["Unrolled", "go_on_around"]

FloatArray = npt.NDArray[np.float64]

_TUBES = {"torso": 40.0, **{part: 90.0 for part in PARTS if part.endswith(("arm", "leg"))}}
"""Parts around which cloth goes on, and over which strip beside the border [degrees]: a limb's hidden side looks like
the side that is seen, but a shirt's front must not be copied behind."""
_COATED = ("torso", "left_upper_leg", "right_upper_leg")
_SLEEVES = tuple(PARTS.index(f"{side}_upper_arm") for side in ("left", "right"))
_TORSO = PARTS.index("torso")
_THIGHS = tuple(PARTS.index(f"{side}_upper_leg") for side in ("left", "right"))
_LEGS = tuple(number for number, part in enumerate(PARTS) if part.endswith("leg"))
_ARMS = tuple(number for number, part in enumerate(PARTS) if part.endswith("arm"))
_FACE = PARTS.index("face")
_HIPS, _TOP = 0.85, 0.12
"""Below this share of the torso's height nothing shows the hips; and this much of the thighs, in rest coordinates."""
_TOO_FEW = 0.05
_FEW = 50
_MIDDLE, _REPEATED = 25 / 360, 0.15
"""What seems to be an open coat's colour is a pattern's if so much of the middle of the front [turns] has it, too."""
_SUIT = 0.4
"""If this share of the trunk has a pattern, limbs may have it as well."""
_DARKER = 0.6
"""Skin of the arms is no darker than the face by more than this [logarithm]."""


@dataclass(frozen=True)
class Unrolled:
    """A person's texture: P places on the body."""

    place: Float[Tensor, "P 3"]
    """Rest coordinates."""
    part: Int64[Tensor, "P"]
    """Index into ``PARTS``."""
    colours: Float[Tensor, "P 3"]
    """RGB in [0, 1]."""
    seen: Bool[Tensor, "P"]
    lends: Bool[Tensor, "P"]
    """Where a photo shows the place and nothing before it."""
    crossed: Bool[Tensor, "P"]
    """Where that which seemed to be the place is an arm before it, pixel by pixel: this lends nothing."""


def go_on_around(
    model: BodyModel, texture: Unrolled, beside: Beside | None = None
) -> tuple[Float[Tensor, "P 3"], Bool[Tensor, "P"], Bool[Tensor, "P"]]:
    """Colours of the seen cloth at the same height around torso and limbs, or of a limb's mirror image.

    Also where, and which of these places have a pattern, which is no light and shade.

    Args:
        model: The body.
        texture: What the photos show.
        beside: What they show beside the body, where one person's photos are known.
    """
    names, part = rest_coordinates(model), texture.part
    colours, (found, patterned) = texture.colours.clone(), torch.zeros_like(texture.seen).expand(2, -1).clone()
    vertex_part = model.vertex_part.index_select(0, used := torch.unique(model.faces))
    face = texture.colours[texture.seen & (part == _FACE)]
    coat: FloatArray | None = None
    likely = False
    for name, strip in _TUBES.items():
        own = part == PARTS.index(name)
        hidden, lender, mirror = own & (~texture.seen | texture.crossed), own & texture.lends, 1.0
        if float(lender.sum()) < _TOO_FEW * float(own.sum()):
            lender, mirror = (part == PARTS.index(mirrored(name))) & texture.lends, -1.0
        member = used[vertex_part == PARTS.index(name)]
        if int(lender.sum()) < _FEW or not bool(hidden.any()) or len(member) < 3:
            continue
        tube = tube_of(names[member].cpu().numpy().astype(np.float64), upright=name == "torso")
        surface = tube.cells(texture.place[own].cpu().numpy())
        lent = (texture.place[lender] * texture.place.new_tensor([mirror, 1, 1])).cpu().numpy()
        cells, shown = tube.cells(lent), texture.colours[lender].cpu().numpy()
        if name == "torso":
            coat = find_coat(cells, shown, _sleeves(texture, face))
            if coat is not None and _in_pattern(cells, shown, surface, coat):
                coat = None
            if coat is None:  # a neckline, or the rest of an arm
                strange = minority(lent[:, 1], like_face(texture.colours[lender], face).cpu().numpy())
                cells, shown = cells[~strange], shown[~strange]
            cells, shown = _with_thighs(tube, texture, cells, shown)
        if coat is not None and name in _COATED:
            cells, shown = _coats_own(tube, cells, shown, coat, _of_coat(texture, beside, coat), PARTS.index(name))
        common = Common.of_trunk(cells[:, 0], shown, _of_parts(texture, _ARMS))
        if name != "torso":
            common = _with_twin(tube, texture, name, cells, shown)
        wanted = tube.cells(texture.place[hidden].cpu().numpy())
        pattern = patterned_rows(*unroll(cells, shown, surface), likely)
        likely |= name == "torso" and float(pattern.mean()) > _SUIT
        made_up = complete_rings(cells, shown, wanted, surface, strip, common=common, pattern=pattern)
        if made_up is not None:
            colours[hidden] = torch.as_tensor(made_up, dtype=colours.dtype, device=colours.device)
            found |= hidden
            patterned[hidden] = torch.as_tensor(pattern[wanted[:, 0].round().astype(int)], device=colours.device)
    return colours, found, patterned


def _with_twin(
    tube: Tube, texture: Unrolled, name: str, cells: Float[np.ndarray, "N 2"], shown: Float[np.ndarray, "N 3"]
) -> Common:
    """What lends to a limb and what is seen of its twin, mirrored; and of what is worn beside it."""
    twin = texture.lends & (texture.part == PARTS.index(mirrored(name)))
    there = tube.cells((texture.place[twin] * texture.place.new_tensor([-1, 1, 1])).cpu().numpy())
    row, colours = np.append(cells[:, 0], there[:, 0]), np.concatenate([shown, texture.colours[twin].cpu().numpy()])
    beside = (_TORSO, *_ARMS) if name.endswith("arm") else _LEGS
    others = [part for part in beside if PARTS[part] not in (name, mirrored(name))]
    return Common(row, colours, np.arange(len(row)) >= len(cells), _of_parts(texture, others), limb=True)


def _of_parts(texture: Unrolled, parts: Sequence[int]) -> Float[np.ndarray, "M 3"]:
    """What lends of some parts."""
    chosen = texture.lends & torch.isin(texture.part, torch.tensor(parts, device=texture.part.device))
    colours: Float[np.ndarray, "M 3"] = texture.colours[chosen].cpu().numpy()
    return colours


def _with_thighs(
    tube: Tube, texture: Unrolled, cells: Float[np.ndarray, "N 2"], shown: Float[np.ndarray, "N 3"]
) -> tuple[Float[np.ndarray, "K 2"], Float[np.ndarray, "K 3"]]:
    """The same with the thighs beside the hips, whose rings they close: what is worn there goes on behind.

    Of hips that nothing shows the lower end looks like the thighs below it: so trousers begin in between.
    """
    thigh = texture.lends & torch.isin(texture.part, torch.tensor(_THIGHS, device=texture.part.device))
    places = texture.place[thigh].cpu().numpy()
    if len(places) < _FEW:
        return cells, shown
    seen = tube.cells(texture.place[texture.seen & (texture.part == _TORSO)].cpu().numpy())
    hips = (seen[:, 0] > _HIPS * ROWS).sum() > _FEW
    near = tube.beside(places) if hips else places[:, 1] < places[:, 1].min() + _TOP
    below = texture.colours[thigh].cpu().numpy()[near]
    return np.concatenate([cells, tube.cells(places[near])]), np.concatenate([shown, below])


def _in_pattern(
    cells: Float[np.ndarray, "N 2"],
    colours: Float[np.ndarray, "N 3"],
    surface: Float[np.ndarray, "K 2"],
    coat: Float[np.ndarray, "3"],
) -> bool:
    """Whether what seems to be an open coat is one of the colours of stripes."""
    rows = patterned_rows(*unroll(cells, colours, surface))
    middle = rows[cells[:, 0].round().astype(int)] & (np.abs(cells[:, 1] / COLUMNS - 0.5) < _MIDDLE)
    return bool(middle.any()) and float(same_cloth(colours[middle], coat).mean()) > _REPEATED


def _of_coat(texture: Unrolled, beside: Beside | None, coat: Float[np.ndarray, "3"]) -> Beside:
    """Where the photos show the coat beside torso and thighs, and on the thighs; mirrored as well on these."""
    thigh = texture.lends & torch.isin(texture.part, torch.tensor(_THIGHS, device=texture.part.device))
    columns = (texture.place[thigh], texture.colours[thigh], texture.part[thigh])
    places, colours, part = (column.cpu().numpy() for column in columns)
    if beside is not None:
        both = (places, beside.places), (colours, beside.colours), (part, beside.part)
        places, colours, part = (np.concatenate(pair) for pair in both)
    own = np.isin(part, (_TORSO, *_THIGHS)) & same_cloth(colours, coat)
    places, colours, part = places[own], colours[own], part[own]
    left, right = _THIGHS
    twin = np.where(part == left, right, left)[part != _TORSO]
    mirrored_places = places[part != _TORSO] * np.array([-1, 1, 1], places.dtype)
    return Beside(
        np.concatenate([places, mirrored_places]),
        np.concatenate([colours, colours[part != _TORSO]]),
        np.concatenate([part, twin]),
    )


def _coats_own(
    tube: Tube,
    cells: Float[np.ndarray, "N 2"],
    colours: Float[np.ndarray, "N 3"],
    coat: Float[np.ndarray, "3"],
    hangs: Beside,
    part: int,
) -> tuple[Float[np.ndarray, "K 2"], Float[np.ndarray, "K 3"]]:
    """Places that lend to the back of a part below an open coat: none of what is worn below, but the coat beside it."""
    goes_on = part == _TORSO and int((hangs.part != _TORSO).sum()) >= _FEW
    own = hangs.part == part
    there = tube.cells(hangs.places[own])
    below = below_coat(cells, colours, coat, goes_on)
    if part != _TORSO and own.any():
        below |= covered_rows(there)[cells[:, 0].round().astype(int)] & ~same_cloth(colours, coat)
    return np.concatenate([cells[~below], there]), np.concatenate([colours[~below], hangs.colours[own]])


def _sleeves(texture: Unrolled, face: Float[Tensor, "K 3"]) -> Float[np.ndarray, "M 3"]:
    """Colours of the upper arms that are not skin."""
    arms = texture.colours[texture.seen & torch.isin(texture.part, torch.tensor(_SLEEVES, device=texture.part.device))]
    bare = like_face(arms, face).cpu().numpy()
    if len(face) >= _FEW:
        bare &= (arms.sum(1) > face.sum(1).median() * np.exp(-_DARKER)).cpu().numpy()
    sleeves: FloatArray = arms.cpu().numpy()[~bare]
    return sleeves
