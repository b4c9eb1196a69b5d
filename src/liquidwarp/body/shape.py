"""Shape edits: a body made taller, heavier, or other in one of its named directions.

Convention:
    ``height=+5cm`` and ``weight=+10%`` change the body by so much, ``height=180cm`` makes it so. A change without a
    unit is in units of the direction: one is about a standard deviation among people, one way or the other.
    Height scales the bones of legs, trunk, neck and arms alike and leaves head, hands and feet; weight changes all
    girths together. Height is done first, weight second (to the share of the original weight), single directions last.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.measures import MEASURED, measure
from liquidwarp.body.model import BodyModel
from liquidwarp.errors import SettingError

__all__ = ["ShapeEdit", "edit_shape", "parse_shape", "shape_names", "shape_table"]

_FARTHEST = 10 / 3
"""A direction may be changed by so many of its units: a whole length of MakeHuman's slider."""
_STEPS = 8
"""Of the secant method."""
_SHOES = "shoe"
"""What begins so is worn, not grown."""

_TALLER: Sequence[str] = (
    *("upperleg-length", "lowerleg-length", "torso-length", "neck-length", "upperarm-length", "lowerarm-length"),
)
_HEAVIER: Mapping[str, float] = {
    "belly": 1.0,
    "waist-girth": 1.0,
    "hips-girth": 1.0,
    "buttocks": 0.8,
    "thigh-girth": 0.9,
    "bust-girth": 0.7,
    "torso-depth": 0.6,
    "upperarm-girth": 0.7,
    "calf-girth": 0.7,
    "lowerarm-girth": 0.6,
    "neck-girth": 0.6,
    "face-fat": 0.7,
}
"""How much of each direction goes with a unit of weight."""

_AMOUNT = re.compile(r"([+-]?)(\d+(?:\.\d*)?|\.\d+)\s*(cm|m|kg|%|)", re.ASCII)
_UNITS = {"cm": 0.01, "m": 1.0, "kg": 1.0, "%": 0.01, "": 1.0}


@dataclass(frozen=True)
class ShapeEdit:
    """One change."""

    name: str
    amount: float
    """[m], [kg], a share, or units of the direction."""
    unit: str
    """"cm", "m", "kg", "%", or "" for units of the direction."""
    absolute: bool
    """The amount is what shall come out, not the change."""


def parse_shape(text: str, model: BodyModel) -> tuple[ShapeEdit, ...]:
    """Read edits such as "height=+5cm,weight=+10%".

    Args:
        text: NAME=AMOUNT, separated by commas; see the head of this file.
        model: The body whose directions are meant.

    Raises:
        SettingError: not understood, an unknown name, one given twice, or a unit that the name does not have.

    Example:
        parse_shape("height=+5cm,waist-girth=-3%", model)
    """
    edits = []
    for part in text.split(","):
        name, _, amount = (piece.strip() for piece in part.partition("="))
        found = _AMOUNT.fullmatch(amount)
        if not name or found is None:
            raise SettingError(
                f"shape: expected NAME=AMOUNT such as height=+5cm or weight=-10%, got {part.strip()!r}. "
                f"Names: {', '.join(shape_names(model))}."
            )
        if name not in shape_names(model):
            raise SettingError(f"shape: expected one of {', '.join(shape_names(model))}; got {name!r}.")
        sign, number, unit = found.groups()
        _check_unit(name, sign, unit)
        value = float(number) * _UNITS[unit] * (-1 if sign == "-" else 1)
        edits.append(ShapeEdit(name, value, unit, not sign))
    names = [edit.name for edit in edits]
    for name in names:
        if names.count(name) > 1:
            raise SettingError(f"shape: {name} is given twice. Leave one away.")
    return tuple(edits)


def _check_unit(name: str, sign: str, unit: str) -> None:
    known: tuple[str, ...] = ("kg", "%") if name == "weight" else ("cm", "m", "%", "") if name in MEASURED else ("",)
    if name == "height":
        known = ("cm", "m", "%")
    if unit not in known:
        wanted = ", ".join(one or "a plain number" for one in known)
        raise SettingError(f"shape: {name}: expected an amount in {wanted}, got {unit or 'a plain number'}.")
    if not sign and unit in ("%", ""):
        raise SettingError(f"shape: {name}: expected + or - before the amount, such as {name}=+1{unit}.")


def shape_names(model: BodyModel) -> tuple[str, ...]:
    """What can be changed in a body: height and weight, if it has the directions, and its named directions."""
    directions = [name for name in model.beta_names if not re.fullmatch(r"pc\d+|beta_?\d+", name)]
    directions = [name for name in directions if not name.startswith(_SHOES)]
    whole = [name for name, needed in (("height", _TALLER), ("weight", _HEAVIER)) if set(needed) <= set(directions)]
    return (*whole, *directions)


def edit_shape(model: BodyModel, betas: Float[Tensor, "K"], edits: Sequence[ShapeEdit]) -> Float[Tensor, "K"]:
    """Change a body.

    Args:
        model: The body.
        betas: Its shape.
        edits: From :func:`parse_shape`.

    Returns:
        The new shape.

    Raises:
        SettingError: farther than a body may be changed; the message says how far.
    """
    order = {"height": 0, "weight": 1}
    changed, original = betas.cpu(), betas.cpu()
    for edit in sorted(edits, key=lambda one: order.get(one.name, 2)):
        direction = _direction(model, changed, edit.name)
        if edit.unit == "":
            steps, low, high = edit.amount, -_FARTHEST, _FARTHEST
            target = edit.amount
        else:
            start = measure(model, original if edit.name == "weight" else changed, edit.name)
            wanted = edit.amount if edit.absolute else edit.amount * (start if edit.unit == "%" else 1)
            target = wanted if edit.absolute else start + wanted
            reach = _FARTHEST / float(direction.abs().max())
            low, high = (measure(model, changed + side * reach * direction, edit.name) for side in (-1, 1))
        if not low <= target <= high:
            raise SettingError(_too_far(edit, low, high, 0.0 if edit.unit == "" else start))
        if edit.unit != "":
            steps = _solve(model, changed, direction, edit.name, target, reach)
        changed = changed + steps * direction
    return changed.to(betas.device)


def _direction(model: BodyModel, betas: Float[Tensor, "K"], name: str) -> Float[Tensor, "K"]:
    direction = torch.zeros_like(betas)
    if name == "height":  # every bone by the same share
        for bone in _TALLER:
            column = model.beta_names.index(bone)
            one = torch.zeros_like(betas).index_fill(0, torch.tensor([column]), 1.0)
            now = measure(model, betas, bone)
            direction[column] = now / max(measure(model, betas + one, bone) - now, 1e-6)
        return direction / direction.abs().max()
    names = _HEAVIER if name == "weight" else {name: 1.0}
    for each, share in names.items():
        direction[model.beta_names.index(each)] = share
    return direction


def _solve(
    model: BodyModel, betas: Float[Tensor, "K"], direction: Float[Tensor, "K"], name: str, target: float, reach: float
) -> float:
    """How far to go until the measure is right: the secant method, as measures are almost linear."""
    before, after = 0.0, reach / 4
    short = measure(model, betas, name) - target
    for _ in range(_STEPS):
        gap = measure(model, betas + after * direction, name) - target
        if abs(gap) < 1e-5 or gap == short:
            break
        before, after, short = after, after - gap * (after - before) / (gap - short), gap
    return after


def _too_far(edit: ShapeEdit, low: float, high: float, start: float) -> str:
    if edit.unit == "":
        return f"shape: {edit.name}: expected a change from {low:+.1f} to {high:+.1f}, got {edit.amount:+g}."
    shift = 0.0 if edit.absolute else start
    factor = 100 / start if edit.unit == "%" else 1 / _UNITS[edit.unit]
    given = edit.amount / _UNITS[edit.unit]
    sign = "" if edit.absolute else "+"
    bounds = " to ".join(f"{(bound - shift) * factor:{sign}.3g}{edit.unit}" for bound in (low, high))
    return f"shape: {edit.name}: expected {bounds} for this person, got {given:{sign}g}{edit.unit}."


def shape_table(model: BodyModel) -> list[tuple[str, str]]:
    """What can be changed and how it is given, for people who ask."""
    rows = []
    for name in shape_names(model):
        if name == "weight":
            given = "+10%, +5kg, 70kg"
        elif name == "height":
            given = "+5cm, +3%, 180cm"
        elif name in MEASURED:
            average = 100 * measure(model, torch.zeros(len(model.beta_names)), name)
            given = f"+1cm, +3%, +1 (the average body has {average:.0f} cm)"
        else:
            given = "+1 (a plain number: about one standard deviation)"
        rows.append((name, given))
    return rows
