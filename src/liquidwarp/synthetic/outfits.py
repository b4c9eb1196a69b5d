"""Who a synthetic person is: shape, skin, clothes, colours and the light that they stand in, drawn by chance."""

import colorsys
import random
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.config import SyntheticConfig
from liquidwarp.synthetic.figure import PATTERNS, Decal, Outfit, Paint
from liquidwarp.synthetic.scene import Light
from liquidwarp.synthetic.wardrobe import Garment, Wardrobe

__all__ = ["draw_betas", "draw_light", "draw_outfit"]

_HAIR = (
    (0.02, 0.015, 0.012),
    (0.05, 0.03, 0.02),
    (0.12, 0.07, 0.035),
    (0.3, 0.18, 0.08),
    (0.45, 0.36, 0.22),
    (0.35, 0.34, 0.33),
    (0.22, 0.06, 0.03),
)
"""Linear RGB of hair: black, dark brown, brown, dark blond, blond, grey, red."""
_UNDERWEAR = (
    (0.8, 0.8, 0.8),
    (0.01, 0.01, 0.012),
    (0.15, 0.15, 0.16),
    (0.01, 0.02, 0.1),
    (0.02, 0.12, 0.06),
    (0.2, 0.01, 0.02),
)
"""Linear RGB, none of them a skin's: white, black, grey, navy, green, dark red."""
_TAN = (0.5, 0.48, 0.36)
"""Linear gain that makes a light skin as brown as skins between light and dark are; the wardrobe has none of them."""
_BROWN = (0.9, 1.12, 1.35)
"""Linear gain on the wardrobe's dark skins, whose red is stronger than a photo's."""
_SUIT_PATTERNS = 0.3
"""So much rarer than on other garments are patterns on whole suits, where shirt and trousers get the same."""
_FEMALE_HAIR = ("bob01", "bob02", "braid01", "long01", "ponytail01", "afro01", "short03")
_MALE_HAIR = ("short01", "short02", "short03", "short04", "afro01")


def draw_outfit(wardrobe: Wardrobe, config: SyntheticConfig, female: bool, chance: random.Random) -> Outfit:
    """Skin, hair, clothes and paint of one person.

    Args:
        wardrobe: What there is.
        config: Shares of recoloured and patterned garments.
        female: Prefer women's skins, hair and clothes.
        chance: Source of chance.
    """
    garments = [*wardrobe.of_kind("eyes"), *_clothes(wardrobe, female, chance)]
    if brows := wardrobe.of_kind("eyebrows"):
        garments.append(chance.choice(brows))
    if chance.random() < 0.93 and (hair := _hair(wardrobe, female, chance)):
        garments.append(hair)
    if chance.random() < 0.05 and (hats := wardrobe.of_kind("hat")):
        garments.append(chance.choice(hats))
    own = "_female_" if female else "_male_"
    skin = chance.choice([name for name in wardrobe.skins if own in name] or list(wardrobe.skins))
    dark = "dark" in skin or chance.random() < 0.4
    irises = [name for name in wardrobe.eyes if name.startswith("brown") or not dark] or list(wardrobe.eyes)
    eyes = wardrobe.eyes[chance.choice(irises)] if irises else 0
    outfit = Outfit.of(garments, wardrobe.skins[skin], eyes)
    return replace(
        outfit,
        paints=_paints(outfit.garments, "dark" in skin, config, chance),
        looseness=0.002 + 0.010 * chance.random() ** 2,
        fold_seed=chance.getrandbits(30),
        decal=_decal(wardrobe, chance) if chance.random() < config.decal else None,
        underwear=Paint(colour=chance.choice(_UNDERWEAR), amount=1.0),
    )


def _clothes(wardrobe: Wardrobe, female: bool, chance: random.Random) -> list[Garment]:
    """A whole suit, top and trousers or skirt, or a dress; mostly shoes; now and then a coat."""

    def one(*kinds: str) -> list[Garment]:
        found = wardrobe.of_kind(*kinds)
        fitting = [item for item in found if item.name.startswith("female_" if female else "male_")] or found
        return [chance.choice(fitting if chance.random() < 0.8 else found)] if found else []

    draw = chance.random()
    lower = ("trousers", "skirt") if female and chance.random() < 0.5 else ("trousers",)
    if chance.random() < 0.05 and (coat := one("coat")):
        chosen = coat + (_pair(one("top"), one("trousers")) or one("suit"))
    elif draw < (0.5 if female else 0.93):
        chosen = one("suit")
    elif female and draw < 0.66:
        chosen = one("dress")
    else:
        chosen = _pair(one("top"), one(*lower))
    if not chosen:
        chosen = one("suit", "dress") or one("top") + one("trousers", "skirt")
    if chance.random() < 0.95:
        chosen += one("shoes")
    return chosen


def _pair(top: list[Garment], lower: list[Garment]) -> list[Garment]:
    """Both or neither: a split of the wardrobe may lack trousers."""
    return top + lower if top and lower else []


def _hair(wardrobe: Wardrobe, female: bool, chance: random.Random) -> Garment | None:
    found = wardrobe.of_kind("hair")
    fitting = [item for item in found if item.name in (_FEMALE_HAIR if female else _MALE_HAIR)] or list(found)
    return chance.choice(fitting) if fitting else None


def _colour(chance: random.Random) -> tuple[float, float, float]:
    """Linear RGB of dyed cloth: mostly muted, often grey or dark."""
    hue, saturation = chance.random(), chance.random() ** 1.5
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation * 0.9, 0.06 + 0.9 * chance.random() ** 1.3)
    return red**1.6, green**1.6, blue**1.6


def _skin(dark: bool, chance: random.Random) -> Paint:
    """From pale to dark without a gap."""
    tone, warm = 0.8 + 0.45 * chance.random(), 0.06 * chance.gauss(0, 1)
    own = random.Random(str(tone))  # noqa: S311 (so that all else is as it was without these tones)
    if dark:
        lighter = 1 + 0.9 * own.random() ** 2
        red, green, blue = (lighter * gain for gain in _BROWN)
    else:
        share = max(0.0, 1.6 * own.random() - 0.6)
        red, green, blue = (1 - share * (1 - gain) for gain in _TAN)
    return Paint(gain=(tone * (1 + warm) * red, tone * green, tone * (1 - warm) * blue))


def _paints(
    garments: tuple[Garment, ...], dark: bool, config: SyntheticConfig, chance: random.Random
) -> tuple[Paint, ...]:
    """The skin's paint, then each garment's. Brows take the hair's colour."""
    paints = [_skin(dark, chance)]
    hair = chance.choice(_HAIR)
    for garment in garments:
        if garment.kind in ("hair", "eyebrows"):
            amount = 0.9 if chance.random() < 0.7 or garment.kind == "eyebrows" else 0.0
            paints.append(Paint(colour=hair, amount=amount))
        elif garment.kind == "eyes":
            shade = 0.5 + 0.4 * chance.random()
            paints.append(Paint(gain=(shade, shade, shade)))
        else:
            paints.append(_cloth(garment.kind, config, chance))
    return tuple(paints)


def _cloth(kind: str, config: SyntheticConfig, chance: random.Random) -> Paint:
    gain = 0.75 + 0.6 * chance.random()
    paint = Paint(gain=(gain, gain, gain), second=_colour(chance), period=0.02 + 0.1 * chance.random() ** 1.5)
    if chance.random() < config.recolour:
        paint = replace(paint, colour=_colour(chance), amount=0.6 + 0.4 * chance.random())
        if kind == "suit" and chance.random() < 0.7:
            return replace(paint, pattern="halves")
    rarer = _SUIT_PATTERNS if kind == "suit" else 1.0
    if kind != "shoes" and chance.random() < rarer * config.pattern:
        plain = [pattern for pattern in PATTERNS if pattern not in ("plain", "halves")]
        paint = replace(paint, pattern=chance.choice(plain))
    return paint


def _decal(wardrobe: Wardrobe, chance: random.Random) -> Decal | None:
    """A print: a piece of some photo, mostly in one ink."""
    if not wardrobe.prints:
        return None
    corner = (0.6 * chance.random(), 0.6 * chance.random())
    centre = (0.015 * chance.gauss(0, 1), -0.34 - 0.08 * chance.random())
    size = 0.09 + 0.14 * chance.random()
    texture, front, ink = chance.choice(wardrobe.prints), chance.random() < 0.7, chance.random() < 0.65
    return Decal(texture, corner, 0.4, centre, size, front, ink)


def draw_betas(model: BodyModel, female: Float[Tensor, "B"], generator: torch.Generator) -> Float[Tensor, "B K"]:
    """Shapes of mostly grown people.

    The components come from Anny's population: pc0 is size, downwards; pc1 and pc3 run from heavy to slender, pc4
    from female to male. For another body's names, plain normal draws.
    """
    device = generator.device
    names = model.beta_names
    betas = 0.5 * torch.randn(len(female), len(names), generator=generator, device=device)
    for index, name in enumerate(names):
        if name.startswith("shoe"):
            betas[:, index] = 0
        elif not name.startswith("pc"):
            betas[:, index] *= 0.6
    if "pc4" in names:
        sign = 1 - 2 * female
        betas[:, names.index("pc0")] = betas[:, names.index("pc0")] * 0.8 - 0.45 - 0.35 * sign
        betas[:, names.index("pc1")] += 0.5
        betas[:, names.index("pc3")] += 0.3 + 0.3 * sign
        betas[:, names.index("pc4")] = 0.8 * betas[:, names.index("pc4")] + 1.1 * sign
    return betas


def draw_light(backgrounds: Float[Tensor, "B 3 H W"], generator: torch.Generator) -> Light:
    """Light that suits the place: what comes from above and below as the photo shows it, and two lamps."""
    device, people = backgrounds.device, len(backgrounds)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    linear = F.avg_pool2d(backgrounds, 8) ** 2.2
    middle = linear.shape[2] // 2
    sky, ground = linear[:, :, :middle].mean((2, 3)), linear[:, :, middle:].mean((2, 3))
    sky, ground = (0.4 + 0.6 * colour / colour.mean(1, keepdim=True).clamp(min=1e-3) for colour in (sky, ground))
    level = 0.7 + 0.6 * uniform(people, 1)
    direction = torch.stack(
        [2.4 * uniform(people, 2) - 1.2, -0.15 - 1.1 * uniform(people, 2), -0.15 - 0.9 * uniform(people, 2)], -1
    )
    strength = torch.stack([0.25 + 0.95 * uniform(people), 0.35 * uniform(people)], 1)
    warmth = 0.12 * (2 * uniform(people, 2) - 1)
    colour = torch.stack([1 + warmth, torch.ones_like(warmth), 1 - warmth], -1) * strength[..., None]
    return Light(
        F.normalize(direction, dim=-1),
        colour * level[:, None],
        sky * level * (0.32 + 0.2 * uniform(people, 1)),
        ground * level * (0.15 + 0.12 * uniform(people, 1)),
    )
