"""Which errors of the conditioning body make training like use: noise that moves the visible surface as the fit does.

A fit's errors compensate each other in the picture (a longer leg and a smaller scale), so its joints' errors drawn
independently would move the surface too far. The sizes are therefore chosen by where the surface lands.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.config import BodyNoise
from liquidwarp.synthetic.dataset import Bodies, perturb

__all__ = ["disturbed", "matched_noise", "responses"]

_STEPS = 400
"""Of Adam."""
_LOYALTY = 0.02
"""How much the ratios of the measured errors count against the displacements of the parts."""
_SILENT = BodyNoise(**{field.name: 0.0 for field in fields(BodyNoise)})


def disturbed(model: BodyModel, body: BodyParams, noise: BodyNoise, generator: torch.Generator) -> BodyParams:
    """One person's body with such an error, as the training draws it."""
    camera = body.camera
    bodies = Bodies(body.betas[None], body.rel_rotmats[None], camera.scale[None], camera.translation[None])
    return perturb(model, bodies, noise, generator)[0]


def responses(
    model: BodyModel,
    bodies: Sequence[BodyParams],
    spread: Callable[[Sequence[BodyParams]], Float[Tensor, "K"]],
    measured: BodyNoise,
    seed: int = 0,
) -> Float[Tensor, "F K"]:
    """The mean squared displacement of each body part that each error makes alone.

    Args:
        model: The body model.
        bodies: People, true.
        spread: Mean squared displacement per part of other bodies for the same people.
        measured: Size of each error.
        seed: Of the draws.

    Returns:
        One row per field of :class:`BodyNoise`.
    """
    rows = []
    for field in fields(BodyNoise):
        alone = replace(_SILENT, **{field.name: getattr(measured, field.name)})
        generator = torch.Generator().manual_seed(seed)
        rows.append(spread([disturbed(model, body, alone, generator) for body in bodies]))
    return torch.stack(rows)


def matched_noise(response: Float[Tensor, "F K"], wanted: Float[Tensor, "K"], measured: BodyNoise) -> BodyNoise:
    """Scale the measured errors so that independent draws of them displace every part as wanted.

    Independent errors add in the square, so the displacement is linear in the squared factors; these minimise the
    squared log ratios over the parts, and stay near one common factor where the parts do not decide.

    Args:
        response: Mean squared displacement that each measured error makes alone.
        wanted: Mean squared displacement per part.
        measured: The errors that ``response`` belongs to.
    """
    log_factor = torch.zeros(len(response), requires_grad=True)
    optimizer = torch.optim.Adam([log_factor], lr=0.03)
    for _ in range(_STEPS):
        made = (2 * log_factor).exp() @ response
        loss = (made / wanted).log().square().mean() + _LOYALTY * (log_factor - log_factor.mean()).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    factors = log_factor.detach().exp().tolist()
    names = [field.name for field in fields(BodyNoise)]
    return BodyNoise(**{name: _rounded(getattr(measured, name) * f) for name, f in zip(names, factors, strict=True)})


def _rounded(value: float) -> float:
    """To two digits."""
    return round(value, 1 - math.floor(math.log10(value))) if value > 0 else 0.0
