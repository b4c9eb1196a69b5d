"""Renders dressed people: rasterise once, then shade every covered pixel (deferred shading) in linear light.

Plain torch, batched over people and views, the same on CPU and CUDA. Hair and lace are cut out by the opacity of
their texture, tested per sample before the z-test with a threshold that varies over the samples of a pixel
(alpha to coverage), so that several strands blend in any order.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import Fragments, Raster, rasterize
from liquidwarp.synthetic.figure import MATERIALS, Figures
from liquidwarp.synthetic.wardrobe import Textures

__all__ = ["Camera", "Light", "Picture", "SceneConfig", "pose_points", "render"]

_PLAIN_GREY = 0.25
"""What has no texture, in linear light."""
_PRINT = 0.85
"""Opacity of a print on cloth."""
_PRINT_EDGE = 0.12
"""Width of its soft edge, of half its side."""
_INKED = 0.45
"""What is darker than this in a photo becomes ink."""
_LIGHT_CLOTH, _BLACK_INK, _WHITE_INK = 0.18, 0.02, 0.7
"""Linear reflectances: cloth that takes black ink, and the inks."""
_CLOTH, _SKIN, _HAIR, _EYES = (MATERIALS.index(name) for name in ("cloth", "skin", "hair", "eyes"))


@dataclass(frozen=True)
class Camera:
    """B x V cameras: weak perspective at the root joint's depth, with an optional finite distance."""

    weak: WeakPerspective
    """B * V of them, in pixels of the picture."""
    distance: Float[Tensor, "BV"]
    """From the camera to the root joint [m]; infinite = exactly weak perspective."""

    def project(self, points: Float[Tensor, "BV N 3"], height: int, width: int) -> Float[Tensor, "BV N 3"]:
        """Body space [m] to (x [px], y [px], depth [m])."""
        flat = self.weak.project(points)
        centre = flat.new_tensor([width / 2, height / 2])
        shrink = 1 / (1 + points[..., 2:] / self.distance[:, None, None])
        return torch.cat([(flat[..., :2] - centre) * shrink + centre, flat[..., 2:]], -1)


@dataclass(frozen=True)
class Light:
    """The light of B scenes, linear RGB, in the camera's axes."""

    direction: Float[Tensor, "B K 3"]
    """Unit vectors towards K lamps; the first one throws shadows."""
    colour: Float[Tensor, "B K 3"]
    sky: Float[Tensor, "B 3"]
    """What comes from above."""
    ground: Float[Tensor, "B 3"]
    """What comes from below."""


@dataclass(frozen=True)
class SceneConfig:
    """What is spent on a picture."""

    supersample: int = 2
    """Samples per pixel and axis."""
    shadow_size: int = 160
    """Side of the shadow map [px]; 0 = no shadows."""
    shadow_softness: float = 0.02
    """Radius over which a shadow fades [m]."""
    shadow_taps: int = 4
    """Looks into the shadow map per sample."""
    occlusion: float = 1.0
    """Strength of the ambient occlusion; 0 = none."""


@dataclass(frozen=True)
class Picture:
    """B x V pictures of people without a background."""

    colour: Float[Tensor, "B V 3 H W"]
    """sRGB in [0, 1], already multiplied by the matte."""
    matte: Float[Tensor, "B V 1 H W"]
    """Opacity of the person."""


@dataclass(frozen=True)
class _Surface:
    """The P covered samples."""

    sample: Int64[Tensor, "P"]
    """Index into the B V H W samples."""
    view: Int64[Tensor, "P"]
    person: Int64[Tensor, "P"]
    layer: Int64[Tensor, "P"]
    uv: Float[Tensor, "P 2"]
    rest: Float[Tensor, "P 3"]
    """Rest position [m]."""
    rest_side: Float[Tensor, "P"]
    """z of the face's normal at rest, unscaled: below 0 on the front of the person."""
    point: Float[Tensor, "P 3"]
    """Body space [m]."""
    normal: Float[Tensor, "P 3"]
    """Unit, on the side that the camera sees."""


def render(
    figures: Figures,
    transforms: Float[Tensor, "B V J 3 4"],
    camera: Camera,
    light: Light,
    textures: Textures,
    size: tuple[int, int],
    config: SceneConfig,
) -> Picture:
    """Render every person in V poses.

    Args:
        figures: B dressed people.
        transforms: Their poses, from ``PosedBody.transforms``.
        camera: B * V cameras, in pixels of the picture.
        light: One per person, the same in all views.
        textures: The wardrobe's.
        size: (height, width) of the picture [px].
        config: What to spend.

    Returns:
        Pictures and mattes.
    """
    batch, views = transforms.shape[:2]
    factor = config.supersample
    height, width = size[0] * factor, size[1] * factor
    points, normals = pose_points(figures, transforms)
    fine = Camera(camera.weak.resized(float(factor)), camera.distance)
    raster = _rasterize(figures, fine.project(points, height, width), views, (height, width), textures, factor)
    surface = _surface(figures, raster, points, normals, views)
    albedo = _albedo(figures, surface, textures)
    shadow = _shadow(figures, points, surface, light, views, config)
    openness = _openness(raster, surface, config)
    colour = _shade(figures, surface, albedo, light, shadow, openness)
    image = colour.new_zeros(batch * views * height * width, 3)
    image[surface.sample] = _display(colour)
    image = image.view(batch * views, height, width, 3).permute(0, 3, 1, 2)
    matte = raster.covered[:, None].to(image.dtype)
    image, matte = F.avg_pool2d(image, factor), F.avg_pool2d(matte, factor)
    return Picture(image.view(batch, views, 3, *size), matte.view(batch, views, 1, *size))


def pose_points(
    figures: Figures, transforms: Float[Tensor, "B V J 3 4"]
) -> tuple[Float[Tensor, "BV N 3"], Float[Tensor, "BV N 3"]]:
    """Posed vertices [m] and unit normals."""
    points, normals = [], []
    for b in range(len(figures)):
        blended = torch.einsum("nj,vjkl->vnkl", figures.joint_weights[b], transforms[b])
        points.append((blended[..., :3] @ figures.vertices[b, :, :, None])[..., 0] + blended[..., 3])
        normals.append((blended[..., :3] @ figures.normals[b, :, :, None])[..., 0])
    return torch.cat(points), F.normalize(torch.cat(normals), dim=-1)


def _rasterize(
    figures: Figures,
    projected: Float[Tensor, "BV N 3"],
    views: int,
    size: tuple[int, int],
    textures: Textures,
    factor: int,
) -> Raster:
    """Each person has faces of its own, so the corners are gathered and numbered one after the other."""
    corners, faces = _corners(figures, projected, views)
    lift = figures.lift.gather(1, figures.layer).repeat_interleave(views, 0)
    corners[..., 2] -= lift[..., None]
    edge1, edge2 = corners[:, :, 1, :2] - corners[:, :, 0, :2], corners[:, :, 2, :2] - corners[:, :, 0, :2]
    away = edge1[..., 0] * edge2[..., 1] - edge1[..., 1] * edge2[..., 0] > 0
    on_body = (figures.layer == 0) | (figures.texture.gather(1, figures.layer) < 0)
    away &= on_body.repeat_interleave(views, 0)
    corners = torch.where(away[..., None, None], corners[:, :, :1], corners)

    def keep(fragments: Fragments) -> Bool[Tensor, "P"]:
        person = torch.div(fragments.image, views, rounding_mode="floor")
        chosen = torch.ones_like(person, dtype=torch.bool)
        doubtful = figures.cutout[person, fragments.face].nonzero()[:, 0]
        person, face = person[doubtful], fragments.face[doubtful]
        uv = (figures.corner_uv[person, face] * fragments.bary[doubtful, :, None]).sum(1)
        opacity = textures.opacity(figures.texture[person, figures.layer[person, face]], uv)
        chosen[doubtful] = opacity > _threshold(fragments.row[doubtful], fragments.column[doubtful], factor)
        return chosen

    return rasterize(corners.flatten(1, 2), faces, size[0], size[1], cull_backfaces=False, keep=keep)


def _corners(
    figures: Figures, points: Float[Tensor, "BV N 3"], views: int
) -> tuple[Float[Tensor, "BV M 3 3"], Int64[Tensor, "M 3"]]:
    """The corners of every face, and the faces that number them."""
    batch, num_faces = figures.faces.shape[:2]
    offset = torch.arange(batch * views, device=points.device)[:, None] * points.shape[1]
    index = figures.faces.flatten(1).repeat_interleave(views, 0) + offset
    corners = points.reshape(-1, 3).index_select(0, index.view(-1)).view(batch * views, num_faces, 3, 3)
    return corners, torch.arange(num_faces * 3, device=points.device).view(-1, 3)


def _threshold(row: Float[Tensor, "P"], column: Float[Tensor, "P"], factor: int) -> Float[Tensor, "P"]:
    """Opacity that a sample asks for: another one for each sample of a pixel, evenly spread over (0, 1)."""
    place = (row % factor) * factor + column % factor
    steps = factor * factor
    return ((place * 7 + 3) % steps + 0.5) / steps * 0.9 + 0.05


def _surface(
    figures: Figures,
    raster: Raster,
    points: Float[Tensor, "BV N 3"],
    normals: Float[Tensor, "BV N 3"],
    views: int,
) -> _Surface:
    sample = raster.covered.view(-1).nonzero()[:, 0]
    face = raster.pix_to_face.view(-1)[sample]
    bary = raster.bary.view(-1, 3)[sample][..., None]
    view = torch.div(sample, raster.depth.shape[1] * raster.depth.shape[2], rounding_mode="floor")
    person = torch.div(view, views, rounding_mode="floor")
    corner = figures.faces[person, face]
    normal = F.normalize((normals[view[:, None], corner] * bary).sum(1), dim=-1)
    layer = figures.layer[person, face]
    posed, rest = points[view[:, None], corner], figures.vertices[person[:, None], corner]
    seen_from_inside = torch.linalg.cross(posed[:, 1] - posed[:, 0], posed[:, 2] - posed[:, 0])[:, 2:] > 0
    flipped = torch.where((figures.material[person, layer] == _HAIR)[:, None], normal[:, 2:] > 0, seen_from_inside)
    return _Surface(
        sample,
        view,
        person,
        layer,
        (figures.corner_uv[person, face] * bary).sum(1),
        (rest * bary).sum(1),
        torch.linalg.cross(rest[:, 1] - rest[:, 0], rest[:, 2] - rest[:, 0])[:, 2],
        (posed * bary).sum(1),
        torch.where(flipped, -normal, normal),
    )


def _albedo(figures: Figures, surface: _Surface, textures: Textures) -> Float[Tensor, "P 3"]:
    """Linear reflectance: the texture, recoloured and patterned."""
    who = (surface.person, surface.layer)
    texture = figures.texture[who]
    albedo = textures.sample(texture.clamp(min=0), surface.uv)[:, :3] ** 2.2
    albedo = torch.where((texture < 0)[:, None], _PLAIN_GREY, albedo)
    paint = figures.paint[who]
    colour, amount, gain, second = paint[:, :3], paint[:, 3:4], paint[:, 4:7], paint[:, 8:11]
    brightness = albedo.mean(1, keepdim=True)
    albedo = torch.lerp(albedo, colour * (0.25 + 1.5 * brightness.sqrt()).clamp(max=1.3), amount)
    share = _pattern(surface.rest, paint[:, 7], paint[:, 11])[:, None]
    albedo = torch.lerp(albedo, second * (0.5 + brightness.sqrt()).clamp(max=1.2), 0.9 * share)
    return _printed(figures, surface, textures, albedo * gain).clamp(0, 1)


def _printed(
    figures: Figures, surface: _Surface, textures: Textures, albedo: Float[Tensor, "P 3"]
) -> Float[Tensor, "P 3"]:
    """Lay the decals over the cloth."""
    decal = figures.decal[surface.person]
    place = (surface.rest[:, :2] - decal[:, 4:6]) / decal[:, 6:7] + 0.5
    here = (decal[:, 0] >= 0) & (place > 0).all(1) & (place < 1).all(1) & (surface.rest_side * decal[:, 7] > 0)
    here &= figures.material[surface.person, surface.layer] == _CLOTH
    index = here.nonzero()[:, 0]
    decal, place = decal[index], place[index]
    uv = decal[:, 1:3] + decal[:, 3:4] * torch.stack([place[:, 0], 1 - place[:, 1]], 1)
    colour, cloth = textures.sample(decal[:, 0].long(), uv)[:, :3], albedo[index]
    edge = (2 * place - 1).pow(4).sum(1, keepdim=True).sqrt().sqrt()
    rounded = ((1 - edge) / _PRINT_EDGE).clamp(0, 1)
    dark = ((_INKED - colour.mean(1, keepdim=True)) / 0.1 + 0.5).clamp(0, 1)
    wearer = surface.person[index]
    bright = cloth.new_zeros(len(figures), 2)
    bright.index_add_(0, wearer, torch.stack([cloth.mean(1), torch.ones_like(cloth[:, 0])], 1))
    is_light = (bright[:, :1] / bright[:, 1:].clamp(min=1) > _LIGHT_CLOTH)[wearer]
    ink = torch.where(is_light, _BLACK_INK, _WHITE_INK)
    inked = decal[:, 8:] > 0
    share = _PRINT * rounded * torch.where(inked, dark, 1.0)
    mixed = torch.lerp(cloth, torch.where(inked, ink, colour**2.2), share)
    return albedo.index_copy(0, index, mixed)


def _pattern(rest: Float[Tensor, "P 3"], pattern: Float[Tensor, "P"], period: Float[Tensor, "P"]) -> Float[Tensor, "P"]:
    """Share of the second colour at rest positions, by the order of PATTERNS."""
    across, down = rest[:, 0] / period, rest[:, 1] / period
    first = torch.zeros_like(across)
    choices = torch.stack(
        [
            first,
            (down % 1 < 0.5).float(),
            (across % 1 < 0.2).float(),
            ((across % 1 < 0.5).float() + (down % 1 < 0.5).float()) / 2,
            (((across % 1) - 0.5) ** 2 + ((down % 1) - 0.5) ** 2 < 0.07).float(),
            ((across + down) % 1 < 0.5).float(),
            (rest[:, 1] > -0.02).float(),
        ],
        1,
    )
    return choices.gather(1, pattern.long()[:, None])[:, 0]


def _shadow(
    figures: Figures,
    points: Float[Tensor, "BV N 3"],
    surface: _Surface,
    light: Light,
    views: int,
    config: SceneConfig,
) -> Float[Tensor, "P"]:
    """Share of the first lamp that arrives [0, 1]: a shadow map along its direction, softened by averaging."""
    size = config.shadow_size
    if size == 0:
        return torch.ones_like(surface.view, dtype=torch.float32)
    frame = _light_frame(light.direction[:, 0]).repeat_interleave(views, 0)
    turned = points @ frame.transpose(1, 2)
    low, high = turned[..., :2].amin(1), turned[..., :2].amax(1)
    scale = size / (high - low).amax(1)[:, None] * 0.98
    shifted = torch.cat([(turned[..., :2] - low[:, None]) * scale[:, None], turned[..., 2:]], -1)
    corners, faces = _corners(figures, shifted, views)
    depth = rasterize(corners.flatten(1, 2), faces, size, size, cull_backfaces=False).depth
    frame = frame[surface.view]
    place = (frame @ surface.point[..., None])[..., 0]
    pixel = (place[:, :2] - low[surface.view]) * scale[surface.view]
    slope = (1 - (surface.normal * light.direction[surface.person, 0]).sum(1)).clamp(0, 1)
    bias = 0.012 + 0.02 * slope
    lit = torch.zeros_like(bias)
    spread = config.shadow_softness * scale[surface.view, 0]
    for k in range(config.shadow_taps):
        radius, angle = math.sqrt((k + 0.5) / config.shadow_taps), 2.39996 * k
        x = pixel[:, 0] + spread * radius * math.cos(angle) - 0.5
        y = pixel[:, 1] + spread * radius * math.sin(angle) - 0.5
        left, top = x.floor(), y.floor()
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
            share = (1 - (x - left - dx).abs()) * (1 - (y - top - dy).abs())
            column, row = (left + dx).long().clamp(0, size - 1), (top + dy).long().clamp(0, size - 1)
            lit += share * (depth[surface.view, row, column] > place[:, 2] - bias)
    return lit / config.shadow_taps


def _light_frame(direction: Float[Tensor, "B 3"]) -> Float[Tensor, "B 3 3"]:
    """Rows: two axes across the light and the way that it travels."""
    helper = torch.zeros_like(direction)
    helper[:, 0] = 1
    up = F.normalize(torch.linalg.cross(direction, helper), dim=-1)
    return torch.stack([torch.linalg.cross(up, direction), up, -direction], 1)


def _openness(raster: Raster, surface: _Surface, config: SceneConfig) -> Float[Tensor, "P"]:
    """Share of the surroundings that light a sample [0, 1]: less where it lies deeper than its neighbourhood.

    Method: unsharp masking of the depth buffer (Luft, Colditz, Deussen 2006), at two radii.
    """
    if config.occlusion == 0:
        return torch.ones_like(surface.view, dtype=torch.float32)
    coarse = max(1, raster.depth.shape[1] // 128)
    inside = raster.covered[:, None].float()
    depth = torch.where(raster.covered, raster.depth, 0.0)[:, None]
    small, share = F.avg_pool2d(depth, coarse), F.avg_pool2d(inside, coarse)
    openness = torch.ones_like(surface.view, dtype=torch.float32)
    here = depth.view(-1)[surface.sample]
    for radius, reach in ((2, 0.03), (6, 0.10)):
        window = 2 * radius + 1
        mean = F.avg_pool2d(small, window, 1, radius) / F.avg_pool2d(share, window, 1, radius).clamp(min=1e-4)
        mean = F.interpolate(mean, raster.depth.shape[1:], mode="bilinear", align_corners=False)
        deeper = (here - mean.view(-1)[surface.sample]).clamp(0, reach) / reach
        openness = openness * (1 - 0.45 * config.occlusion * deeper)
    return openness


def _shade(
    figures: Figures,
    surface: _Surface,
    albedo: Float[Tensor, "P 3"],
    light: Light,
    shadow: Float[Tensor, "P"],
    openness: Float[Tensor, "P"],
) -> Float[Tensor, "P 3"]:
    """Hemisphere light, wrapped diffuse (redder on skin, where light scatters under the surface), Blinn-Phong gloss."""
    who = (surface.person, surface.layer)
    material = figures.material[who][:, None]
    is_skin, is_hair, is_eye = material == _SKIN, material == _HAIR, (material == _EYES)[:, 0]
    openness = torch.where(is_eye, 0.5 + 0.5 * openness, openness)
    shadow = torch.where(is_eye, 0.5 + 0.5 * shadow, shadow)
    wrap = torch.where(is_skin, albedo.new_tensor([0.42, 0.24, 0.18]), albedo.new_tensor([0.15, 0.15, 0.15]))
    upward = (0.5 - 0.5 * surface.normal[:, 1:2]).clamp(0, 1)
    ambient = torch.lerp(light.ground[surface.person], light.sky[surface.person], upward) * openness[:, None]
    diffuse, shine = ambient, torch.zeros_like(albedo)
    power = torch.where(is_hair, 14.0, torch.where(is_skin, 16.0, 40.0))
    for k in range(light.direction.shape[1]):
        direction = light.direction[surface.person, k]
        cosine = (surface.normal * direction).sum(1, keepdim=True)
        arrives = shadow[:, None] if k == 0 else openness[:, None]
        lamp = light.colour[surface.person, k] * arrives
        diffuse = diffuse + lamp * ((cosine + wrap) / (1 + wrap)).clamp(min=0)
        half = F.normalize(direction - direction.new_tensor([0.0, 0.0, 1.0]), dim=-1)
        shine = shine + lamp * (surface.normal * half).sum(1, keepdim=True).clamp(min=0) ** power * (cosine > 0)
    fresnel = (1 + surface.normal[:, 2:]).clamp(0, 1) ** 4
    gloss = figures.gloss[who][:, None]
    return albedo * diffuse + gloss * (0.35 * shine * (1 + math.pi * fresnel)) + 0.25 * gloss * fresnel * ambient


def _display(linear: Float[Tensor, "P 3"]) -> Float[Tensor, "P 3"]:
    """Linear light to sRGB with a soft shoulder, so that highlights do not burn out."""
    shouldered = torch.where(linear > 0.7, 0.7 + 0.3 * torch.tanh((linear - 0.7) / 0.3), linear)
    return shouldered.clamp(min=1e-6) ** (1 / 2.2)
