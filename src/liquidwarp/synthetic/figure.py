"""From a body, clothes and paint to one dressed mesh per person, ready to be posed.

Several people are padded to one batch: extra vertices hang on nothing, extra faces are three times vertex 0 and so
never cover a pixel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS
from liquidwarp.geometry.mesh import vertex_normals
from liquidwarp.synthetic.wardrobe import KINDS, Garment

__all__ = ["MATERIALS", "PATTERNS", "Decal", "Figures", "Outfit", "Paint", "dress", "underwear_faces"]

PATTERNS = ("plain", "stripes", "pinstripes", "checks", "dots", "diagonals", "halves")
"""What a garment's second colour makes; "halves" is everything from the hips down."""
MATERIALS = ("cloth", "skin", "hair", "eyes")

_MATERIAL_OF = {"body": "skin", "hair": "hair", "eyebrows": "hair", "eyes": "eyes"}
_LIFT = {"eyebrows": 0.002, "shoes": 0.004, "trousers": 0.006, "skirt": 0.008, "suit": 0.006, "top": 0.011}
_LIFT |= {"dress": 0.010, "coat": 0.02, "hair": 0.004, "hat": 0.012}
"""How much nearer than it is a layer is drawn [m], so that what lies under it does not poke through."""
_GLOSS = {"eyes": 0.5, "shoes": 0.12, "hair": 0.10, "body": 0.10}
"""Strength of the shine; cloth has 0.02."""
_LOOSE = ("suit", "top", "trousers", "skirt", "dress", "coat")
"""What stands off the body and throws folds."""


@dataclass(frozen=True)
class Paint:
    """How a layer's texture is coloured."""

    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Linear RGB that the texture's brightness is multiplied with."""
    amount: float = 0.0
    """0 keeps the texture's own colours, 1 replaces them."""
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Linear RGB gain on the result."""
    pattern: str = "plain"
    """One of :data:`PATTERNS`, laid over the cloth at rest."""
    second: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """The pattern's linear RGB."""
    period: float = 0.06
    """The pattern's period [m]."""


@dataclass(frozen=True)
class Decal:
    """A print on the chest or the back: a rounded piece of a texture."""

    texture: int
    corner: tuple[float, float]
    """Lower left corner of the piece (u, v)."""
    piece: float
    """Side of the piece in texture units."""
    centre: tuple[float, float]
    """Where it sits on the body at rest (x, y) [m]."""
    size: float
    """Side of the print [m]."""
    front: bool
    """On the chest; False: on the back."""
    ink: bool = False
    """Only the dark places of the texture, in black or, on dark cloth, in white; False: all its colours."""


_PLAIN = -1
_BELOW_SHOULDER = 0.05
"""Where underwear begins, below the shoulder joints [m]."""
_BELOW_HIP = 0.16
"""Where it ends, below the hip joints [m]."""


@dataclass(frozen=True)
class Outfit:
    """Who wears what: the first paint is the skin's, then one per garment, from the skin outwards.

    Everyone wears underwear, so that no choice of clothes leaves a person bare.
    """

    garments: tuple[Garment, ...]
    skin: int
    """Texture of the body."""
    eyes: int
    """Texture of the eyes."""
    paints: tuple[Paint, ...]
    looseness: float = 0.004
    """How far cloth stands off [m]."""
    fold_seed: int = 0
    """Which folds it throws."""
    decal: Decal | None = None
    """A print on the cloth."""
    underwear: Paint = Paint(colour=(0.7, 0.7, 0.7), amount=1.0)
    """From the chest to the thighs, painted on the body."""

    @staticmethod
    def of(garments: Sequence[Garment], skin: int, eyes: int, paints: dict[str, Paint] | None = None) -> "Outfit":
        """Order garments from the skin outwards; ``paints`` by kind, "body" is the skin."""
        paints = paints or {}
        ordered = tuple(sorted(garments, key=lambda garment: KINDS.index(garment.kind)))
        kinds = ("body", *(garment.kind for garment in ordered))
        return Outfit(ordered, skin, eyes, tuple(paints.get(kind, Paint()) for kind in kinds))


@dataclass(frozen=True)
class Figures:
    """B dressed people at rest. L layers: 0 the body, then the garments, then underwear, which is painted on it."""

    vertices: Float[Tensor, "B N 3"]
    """[m], root joint at the origin; the body's own V vertices come first."""
    normals: Float[Tensor, "B N 3"]
    joint_weights: Float[Tensor, "B N J"]
    faces: Int64[Tensor, "B M 3"]
    corner_uv: Float[Tensor, "B M 3 2"]
    layer: Int64[Tensor, "B M"]
    cutout: Bool[Tensor, "B M"]
    """Faces whose texture has holes."""
    texture: Int64[Tensor, "B L"]
    """-1: none, plain grey."""
    lift: Float[Tensor, "B L"]
    """[m] nearer in the z-test."""
    gloss: Float[Tensor, "B L"]
    material: Int64[Tensor, "B L"]
    """Index into :data:`MATERIALS`."""
    paint: Float[Tensor, "B L 12"]
    """colour 3, amount, gain 3, pattern, second colour 3, period."""
    decal: Float[Tensor, "B 9"]
    """texture (-1: none), corner 2, piece, centre 2, size, sign of the normal's z, ink."""

    def __len__(self) -> int:
        return self.vertices.shape[0]


def dress(model: BodyModel, betas: Float[Tensor, "B K"], outfits: Sequence[Outfit]) -> Figures:
    """Dress B people.

    Args:
        model: The body that the garments were bound to.
        betas: Shapes.
        outfits: One per person.

    Returns:
        Their meshes at rest.
    """
    rest = model.rest(betas).vertices
    covered = underwear_faces(model)
    figures = [_dress_one(model, rest[b], outfit, covered) for b, outfit in enumerate(outfits)]
    pad = torch.nn.utils.rnn.pad_sequence
    changes = {name: pad([getattr(f, name)[0] for f in figures], True) for name in Figures.__dataclass_fields__}
    return Figures(**changes)


def underwear_faces(model: BodyModel) -> Bool[Tensor, "F"]:
    """The body's faces under its underwear: the trunk below the collar bones, and the top of the thighs."""
    rest = model.rest(model.lbs_weights.new_zeros(1, len(model.beta_names)))
    height = rest.vertices[0, model.faces, 1].mean(1)
    top = rest.joints[0, list(model.roles.upper_arm), 1].mean() + _BELOW_SHOULDER
    bottom = rest.joints[0, list(model.roles.upper_leg), 1].mean() + _BELOW_HIP
    parts = [PARTS.index(part) for part in ("torso", "left_upper_leg", "right_upper_leg")]
    trunk = torch.isin(model.face_part, torch.tensor(parts, device=height.device))
    return trunk & (height > top) & (height < bottom)


def _dress_one(model: BodyModel, body: Float[Tensor, "V 3"], outfit: Outfit, covered: Bool[Tensor, "F"]) -> Figures:
    device = body.device
    kept = ~torch.stack([torch.zeros_like(model.face_part, dtype=torch.bool), *(g.hides for g in outfit.garments)]).any(
        0
    )
    faces = model.faces[kept]
    body_normals = vertex_normals(body[None], model.faces)[0]
    vertices, normals, weights = [body], [body_normals], [model.lbs_weights]
    all_faces, corner_uv = [faces], [_uv_up(model)[kept]]
    cutout, start = [torch.zeros(len(faces), dtype=torch.bool, device=device)], len(body)
    for garment in outfit.garments:
        points = (body[garment.body_index] * garment.body_weight[..., None]).sum(1) + garment.offset
        if garment.kind in _LOOSE:
            outward = vertex_normals(points[None], garment.faces)[0]
            points = points + outward * _folds(points, outfit)[:, None]
        vertices.append(points)
        normals.append(vertex_normals(points[None], garment.faces)[0])
        weights.append(garment.joint_weights)
        all_faces.append(garment.faces + start)
        corner_uv.append(garment.corner_uv)
        cutout.append(garment.cutout)
        start += len(points)
    kinds = ("body", *(garment.kind for garment in outfit.garments), "underwear")
    textures = [outfit.skin, *(outfit.eyes if g.kind == "eyes" else g.texture for g in outfit.garments), _PLAIN]
    layer = [torch.full((len(f),), k, device=device) for k, f in enumerate(all_faces)]
    layer[0] = torch.where(covered[kept], len(kinds) - 1, layer[0])
    columns = (
        torch.cat(vertices),
        torch.cat(normals),
        torch.cat(weights),
        torch.cat(all_faces),
        torch.cat(corner_uv),
        torch.cat(layer),
        torch.cat(cutout),
        torch.tensor(textures, device=device),
        torch.tensor([_LIFT.get(kind, 0.0) for kind in kinds], device=device),
        torch.tensor([_GLOSS.get(kind, 0.02) for kind in kinds], device=device),
        torch.tensor([MATERIALS.index(_MATERIAL_OF.get(kind, "cloth")) for kind in kinds], device=device),
        torch.tensor([_paint_row(paint) for paint in (*outfit.paints, outfit.underwear)], device=device),
        torch.tensor(_decal_row(outfit.decal), device=device),
    )
    return Figures(*(column[None] for column in columns))


def _uv_up(model: BodyModel) -> Float[Tensor, "F 3 2"]:
    """The body's texture position per corner with v up, as textures are sampled."""
    uv = model.uv[model.face_uv]
    return torch.stack([uv[..., 0], 1 - uv[..., 1]], -1)


def _paint_row(paint: Paint) -> list[float]:
    pattern = float(PATTERNS.index(paint.pattern))
    return [*paint.colour, paint.amount, *paint.gain, pattern, *paint.second, paint.period]


def _decal_row(decal: Decal | None) -> list[float]:
    if decal is None:
        return [-1.0] + [1.0] * 8
    side = -1.0 if decal.front else 1.0
    return [float(decal.texture), *decal.corner, decal.piece, *decal.centre, decal.size, side, float(decal.ink)]


def _folds(points: Float[Tensor, "N 3"], outfit: Outfit) -> Float[Tensor, "N"]:
    """How far the cloth stands off [m]: a smooth random field of folds, mostly across the limbs."""
    generator = torch.Generator().manual_seed(outfit.fold_seed)
    stretch = torch.tensor([18.0, 42.0, 18.0])
    waves = (torch.randn(8, 3, generator=generator) * stretch).to(points.device)
    phases = (torch.rand(8, generator=generator) * 6.28).to(points.device)
    field = torch.sin(points @ waves.T + phases).mean(1)
    return outfit.looseness * (0.5 + 1.4 * field)
