"""Make the bundled demo motion, ``src/liquidwarp/assets/demo/motion.bvh``: our own, from nothing but this script.

Six seconds that loop: a wave with swaying hips, a step to the side and back, a full turn in five steps that shows the
back, and arms that open into the next wave. Keys say where feet, weight and hands are; two-bone inverse
kinematics does the rest. What makes it look alive: eased keys smoothed over each other, weight that moves before a
foot is lifted, a pelvis that rises over the standing leg, shoulders that answer the hips, a head that stays with the
camera, wrists that drag behind the arms, heels that rise before the toes.

Usage: python scripts/build_demo_motion.py [OUT.bvh]
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.export import save_bvh
from liquidwarp.body.motion import Motion, leg_length
from liquidwarp.geometry.rotations import matrix_to_rotvec, rotvec_to_matrix

PERIOD, FPS = 6.0, 30
FRAMES = round(PERIOD * FPS)
TIME = np.arange(FRAMES) / FPS
LEFT, RIGHT = 0, 1
OUT = Path(__file__).parents[1] / "src" / "liquidwarp" / "assets" / "demo" / "motion.bvh"

# Steps: (lift, land, x, z, turn): the foot leaves the floor, comes down at (x, z) [m], turned by [degrees].
# x is the person's left at the start, z away from the camera, a negative turn is to the person's left.
STEPS = {
    LEFT: [
        (1.42, 1.76, 0.34, -0.02, -12),
        (2.52, 2.84, 0.12, 0.00, -8),
        (2.98, 3.32, 0.02, 0.11, -95),
        (3.98, 4.32, 0.00, -0.11, -275),
        (4.88, 5.18, 0.10, 0.00, -372),
    ],
    RIGHT: [
        (1.80, 2.10, 0.12, -0.06, 10),
        (2.20, 2.52, -0.13, 0.00, 12),
        (3.46, 3.82, 0.11, 0.02, -182),
        (4.42, 4.76, -0.12, 0.00, -352),
    ],
}
START = {LEFT: (0.10, 0.0, -12.0), RIGHT: (-0.12, 0.0, 8.0)}

# Share of the weight on the left foot over time.
WEIGHT = [
    (0.0, 0.30), (0.45, 0.80), (0.95, 0.22), (1.35, 0.12), (1.80, 0.85), (2.15, 0.95), (2.45, 0.55), (2.62, 0.10),
    (2.95, 0.10), (3.30, 0.50), (3.52, 0.92), (3.80, 0.50), (4.05, 0.08), (4.30, 0.50), (4.50, 0.92), (4.75, 0.50),
    (4.95, 0.10), (5.20, 0.50), (5.50, 0.78),
]  # fmt: skip
TURN = [(0.0, 0), (1.45, 4), (1.9, -10), (2.4, 8), (2.85, 12), (3.3, -62), (3.8, -150), (4.3, -252), (4.75, -338),
        (5.15, -364), (5.6, -358), (6.0, -360)]  # fmt: skip
DIP = [(0.0, 0.035), (0.45, 0.034), (0.7, 0.055), (0.95, 0.034), (1.3, 0.06), (1.8, 0.045), (2.1, 0.035), (2.5, 0.055),
       (2.88, 0.075), (3.3, 0.045), (3.8, 0.05), (4.3, 0.045), (4.8, 0.055), (5.2, 0.03), (5.45, 0.025)]  # fmt: skip

# Hands relative to their shoulder in the chest's axes: out, down, back [arm lengths]; then where the palm looks.
HAND_KEYS = {
    RIGHT: [
        (0.00, (0.52, -0.62, -0.25), (0.0, 0.1, -1.0)),
        (1.15, (0.50, -0.60, -0.25), (0.0, 0.1, -1.0)),
        (1.55, (0.55, 0.30, -0.35), (-0.4, 0.6, -0.5)),
        (1.85, (-0.18, 0.42, -0.66), (-0.7, 0.5, 0.0)),
        (2.20, (0.10, 0.62, -0.50), (-0.8, 0.3, 0.0)),
        (2.55, (0.80, 0.28, -0.20), (-0.2, 1.0, -0.1)),
        (2.90, (0.62, 0.50, 0.10), (-0.5, 0.8, 0.0)),
        (3.30, (0.30, 0.66, -0.38), (-0.8, 0.5, 0.0)),
        (3.85, (0.70, 0.52, -0.15), (-0.4, 0.9, 0.0)),
        (4.45, (0.66, 0.56, -0.18), (-0.5, 0.8, 0.0)),
        (5.00, (0.62, 0.20, -0.45), (-0.4, 0.7, -0.4)),
        (5.40, (0.36, -0.78, -0.30), (-0.3, 0.0, -0.9)),
        (5.70, (0.46, -0.68, -0.26), (0.0, 0.1, -1.0)),
    ],
    LEFT: [
        (0.15, (0.16, 0.93, -0.10), (-1.0, 0.0, 0.2)),
        (0.55, (0.20, 0.92, -0.02), (-1.0, 0.0, 0.2)),
        (1.00, (0.14, 0.91, -0.20), (-1.0, 0.0, 0.2)),
        (1.45, (0.40, 0.74, -0.30), (-0.8, 0.4, 0.1)),
        (1.85, (0.82, 0.22, -0.22), (-0.2, 1.0, -0.1)),
        (2.20, (0.62, 0.48, -0.40), (-0.5, 0.8, 0.0)),
        (2.55, (-0.15, 0.45, -0.64), (-0.8, 0.5, 0.0)),
        (2.90, (0.05, 0.50, -0.62), (-0.8, 0.5, 0.0)),
        (3.30, (0.76, 0.40, -0.10), (-0.3, 0.9, 0.0)),
        (3.85, (0.70, 0.54, -0.16), (-0.4, 0.9, 0.0)),
        (4.45, (0.55, 0.66, -0.22), (-0.6, 0.7, 0.0)),
        (5.05, (0.62, 0.40, -0.35), (-0.4, 0.8, -0.3)),
        (5.45, (0.80, -0.08, -0.36), (0.0, 0.3, -0.9)),
        (5.80, (0.52, 0.66, -0.24), (-0.8, 0.5, 0.0)),
    ],
}
WAVE_SECONDS, WAVES = (5.65, 7.12), 3.5
"""The right hand waves over the loop's seam, so many times to and fro."""


def eased(keys: Sequence[tuple[float, float]], smooth: float = 0.07) -> np.ndarray:
    """A loop through keys without overshoot, then smoothed [s]; the last value may differ from the first (turns)."""
    time, value = np.array(keys, dtype=float).T
    drift = value[-1] - value[0] if time[-1] == PERIOD else 0.0
    if time[-1] == PERIOD:
        time, value = time[:-1], value[:-1]
    long_time = np.concatenate([time - PERIOD, time, time + PERIOD])
    long_value = np.concatenate([value - drift, value, value + drift])
    dense = np.arange(-FRAMES, 2 * FRAMES) / FPS
    curve = PchipInterpolator(long_time, long_value, extrapolate=True)(dense)
    return gaussian_filter1d(curve, smooth * FPS)[FRAMES : 2 * FRAMES]


def lagged(values: np.ndarray, seconds: float) -> np.ndarray:
    """A loop that comes later."""
    steps = seconds * FPS
    low = math.floor(steps)
    return (1 - steps + low) * np.roll(values, low, 0) + (steps - low) * np.roll(values, low + 1, 0)


def about(axis: int, angle: np.ndarray) -> np.ndarray:
    """Rotations about a coordinate axis [rad], (T, 3, 3)."""
    vector = np.zeros((len(angle), 3))
    vector[:, axis] = angle
    return rotvec_to_matrix(torch.from_numpy(vector)).numpy()


def unit(vector: np.ndarray) -> np.ndarray:
    """Vectors of length 1."""
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)


def frame(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Orthonormal columns: along ``first``, towards ``second``, and their cross product."""
    a = unit(first)
    b = unit(second - (second * a).sum(-1, keepdims=True) * a)
    return np.stack([a, b, np.cross(a, b)], -1)


def turn_vectors(rotation: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Vectors, one or one per frame, turned by one rotation per frame."""
    return (rotation @ np.broadcast_to(vector, (*rotation.shape[:-2], 3))[..., None])[..., 0]


@dataclass
class Foot:
    """One foot's way through the loop."""

    place: np.ndarray
    """Under the ankle, on the floor, (T, 3)."""
    turn: np.ndarray
    """[rad], (T,)."""
    lift: np.ndarray
    """Height of the ankle above its place on a flat foot [m]."""
    pitch: np.ndarray
    """Toes down, heel up [rad]."""


def foot_path(side: int) -> Foot:
    """Stand, roll over the toes, swing, land on the heel."""
    x, z, degrees = START[side]
    place = np.tile([x, 0.0, z], (FRAMES, 1))
    turn, lift, pitch = np.full(FRAMES, math.radians(degrees)), np.zeros(FRAMES), np.zeros(FRAMES)
    for up, down, x, z, degrees in STEPS[side]:
        share = np.clip((TIME - up) / (down - up), 0, 1)
        swing = share**3 * (10 - 15 * share + 6 * share**2)
        place += swing[:, None] * (np.array([x, 0.0, z]) - place[-1])
        turn += swing * (math.radians(degrees) - turn[-1])
        lift += 0.075 * np.sin(np.pi * share) ** 2 * (1 + 0.25 * np.cos(np.pi * share))
        rolling = np.clip((TIME - (up - 0.16)) / 0.24, 0, 1) * np.clip((up + 0.20 - TIME) / 0.16, 0, 1)
        landing = np.clip((TIME - (down - 0.14)) / 0.10, 0, 1) * np.clip((down + 0.06 - TIME) / 0.10, 0, 1)
        pitch += 0.5 * rolling - 0.14 * landing
    # The last step of a foot comes back to the start (plus whole turns): the loop closes.
    return Foot(place, turn, gaussian_filter1d(lift, 0.6), gaussian_filter1d(pitch, 1.2, mode="wrap"))


class Choreography:
    """Everything keyed, as arrays over the frames."""

    def __init__(self) -> None:
        self.feet = {side: foot_path(side) for side in (LEFT, RIGHT)}
        self.weight = eased(WEIGHT, 0.08)
        self.heading = np.radians(eased(TURN, 0.08))
        self.dip = eased(DIP, 0.06)
        sway = 2 * self.weight - 1
        self.turning = np.gradient(self.heading, 1 / FPS)
        slow = 2 * np.pi * TIME / PERIOD
        drift = 0.012 * np.sin(2 * slow + 1) + 0.008 * np.sin(5 * slow + 2)
        self.roll = -0.135 * lagged(sway, 0.03)
        self.chest_roll = 0.17 * lagged(sway, 0.10) + drift
        # Shoulders wind up before the turn and trail in it; they also swing against the steps.
        self.chest_turn = 0.05 * np.clip(lagged(self.turning, -0.12), -6, 6) + 0.10 * lagged(sway, 0.12)
        self.chest_pitch = 0.05 + 0.35 * (self.dip - 0.03) + 0.01 * np.sin(3 * slow)


def pelvis_path(show: Choreography, hip_height: float) -> tuple[np.ndarray, np.ndarray]:
    """Place of the middle of the hips (y down, floor at 0) and the pelvis' orientation."""
    left, right = show.feet[LEFT].place, show.feet[RIGHT].place
    share = 0.5 + 0.85 * (show.weight - 0.5)
    place = right + share[:, None] * (left - right)
    sway = 2 * show.weight - 1
    place = place + turn_vectors(about(1, show.heading), np.array([1.0, 0, 0])) * (0.04 * sway)[:, None]
    place[:, 1] = -(hip_height - show.dip)
    place = gaussian_filter1d(place, 1.5, axis=0, mode="wrap")
    place[:, 2] += 0.015
    tilt = about(0, np.full(FRAMES, -0.03))
    return place, about(1, show.heading) @ about(2, show.roll) @ tilt


def two_bones(
    start: np.ndarray, goal: np.ndarray, pole: np.ndarray, lengths: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Directions of both bones so that their end reaches ``goal`` with the joint towards ``pole``."""
    a, b = lengths
    way = goal - start
    far = np.linalg.norm(way, axis=-1)
    far = np.clip(far, abs(a - b) + 1e-3, 0.997 * (a + b))
    along = unit(way)
    aside = unit(pole - (pole * along).sum(-1, keepdims=True) * along)
    cosine = (a * a + far * far - b * b) / (2 * a * far)
    sine = np.sqrt(np.maximum(1 - cosine**2, 0))
    upper = along * cosine[:, None] + aside * sine[:, None]
    lower = unit(along * far[:, None] - a * upper)
    return upper, lower


class Performer:
    """The body that is moved: rest joints and the orientations found so far."""

    def __init__(self, body: AnnyBody) -> None:
        self.body, self.roles = body, body.roles
        rest = body.rest(torch.zeros(1, len(body.beta_names)))
        self.rest = rest.joints[0].double().numpy()
        self.floor = float(rest.vertices[0, :, 1].max())
        self.rel = np.tile(np.eye(3), (FRAMES, len(body.parents), 1, 1))

    def way(self, start: int, end: int) -> np.ndarray:
        """From one joint to another, at rest."""
        return self.rest[end] - self.rest[start]

    def children(self, joint: int) -> list[int]:
        """Joints that hang on a joint."""
        return [child for child, parent in enumerate(self.body.parents) if parent == joint]

    def trunk(self, show: Choreography, pelvis: np.ndarray) -> None:
        """Pelvis, spine, neck and head."""
        roles = self.roles
        self.rel[:, roles.root] = pelvis
        level = about(1, show.heading)
        chest = level @ about(1, show.chest_turn) @ about(2, show.chest_roll) @ about(0, show.chest_pitch)
        self.spread(roles.spine, pelvis.transpose(0, 2, 1) @ chest)
        # The head looks to the camera as far as the neck goes, and nods a little with the steps.
        facing = show.heading + show.chest_turn
        look = -0.85 * np.sin(lagged(facing, -0.05)) / (1 + 0.25 * np.cos(facing) ** 2)
        nod = 0.06 * np.sin(2 * np.pi * TIME / PERIOD * 6 + 0.8) * 0.5 - 0.5 * show.chest_pitch
        head = about(1, look) @ about(2, -0.75 * show.chest_roll + 0.05 * np.sin(2 * np.pi * TIME / PERIOD * 2))
        self.spread(roles.neck, head @ about(0, nod))

    def spread(self, joints: tuple[int, ...], rotation: np.ndarray) -> None:
        """Share a rotation equally among a chain of joints."""
        part = matrix_to_rotvec(torch.from_numpy(np.ascontiguousarray(rotation))) / len(joints)
        self.rel[:, list(joints)] = rotvec_to_matrix(part).numpy()[:, None]

    def leg(self, side: int, foot: Foot, hips: np.ndarray, pelvis: np.ndarray) -> None:
        """Thigh and shin by inverse kinematics; the sole lies as the step says."""
        roles = self.roles
        thigh, shin, ankle = roles.upper_leg[side], roles.lower_leg[side], roles.foot[side]
        middle = (self.rest[roles.upper_leg[0]] + self.rest[roles.upper_leg[1]]) / 2
        start = hips + turn_vectors(pelvis, self.rest[thigh] - middle)
        toes = self.rest[self.children(ankle)].mean(0) - self.rest[ankle]
        sole = about(1, foot.turn) @ about(0, foot.pitch)
        ankle_height = self.floor - self.rest[ankle][1]
        ball = np.array([0.0, ankle_height, 0.8 * toes[2]])
        # The heel rises about the ball of the foot; on the heel the foot turns about the ankle's own place.
        pivot = np.where(foot.pitch[:, None] > 0, 1.0, 0.0)
        rolled = turn_vectors(about(1, foot.turn), ball) - turn_vectors(sole, ball)
        goal = foot.place + np.array([0.0, -ankle_height, 0.0]) + pivot * rolled
        goal[:, 1] -= foot.lift
        ahead = about(1, 0.6 * foot.turn + 0.4 * np.unwrap(np.arctan2(pelvis[:, 0, 2], pelvis[:, 2, 2])))
        pole = turn_vectors(ahead, np.array([0.12 if side == LEFT else -0.12, 0.0, -1.0]))
        lengths = (float(np.linalg.norm(self.way(thigh, shin))), float(np.linalg.norm(self.way(shin, ankle))))
        upper, lower = two_bones(start, goal, pole, lengths)
        hinge = np.cross(upper, lower)
        rest_hinge = np.array([1.0, 0, 0])
        side_axis = turn_vectors(ahead, rest_hinge)
        hinge = unit(hinge + 0.15 * side_axis)
        top = frame(upper, hinge) @ frame(self.way(thigh, shin), rest_hinge).T
        low = frame(lower, hinge) @ frame(self.way(shin, ankle), rest_hinge).T
        self.rel[:, thigh] = pelvis.transpose(0, 2, 1) @ top
        self.rel[:, shin] = top.transpose(0, 2, 1) @ low
        self.rel[:, ankle] = low.transpose(0, 2, 1) @ sole

    def arm(self, side: int) -> None:
        """Shoulder girdle, upper arm, forearm and hand, in the chest's axes."""
        roles, sign = self.roles, 1.0 if side == LEFT else -1.0
        shoulder, elbow, hand = roles.upper_arm[side], roles.lower_arm[side], roles.hand[side]
        lengths = (float(np.linalg.norm(self.way(shoulder, elbow))), float(np.linalg.norm(self.way(elbow, hand))))
        goal, palm = hand_path(side)
        goal, palm = goal * [sign, 1, 1] * sum(lengths), palm * [sign, 1, 1]
        # The shoulder girdle follows a raised or reaching hand.
        height = -goal[:, 1] / sum(lengths)
        lift = about(2, -sign * (0.02 + 0.32 * np.clip(height, -0.1, 1)))
        reach = about(1, sign * 0.22 * np.clip(-goal[:, 2] / sum(lengths) - 0.2, -0.4, 0.6))
        girdle = reach @ lift
        self.rel[:, roles.shoulder[side][0]] = girdle
        raised = np.clip(height, 0, 1)[:, None]
        pole = (1 - raised) * np.array([0.25 * sign, 0.5, 1.0]) + raised * np.array([1.0 * sign, 0.5, 0.1])
        upper, lower = two_bones(np.zeros((FRAMES, 3)), goal, pole, lengths)
        hinge = unit(np.cross(upper, lower))
        rest_hinge = unit(np.cross(self.way(shoulder, elbow), self.way(elbow, hand)))
        top = frame(upper, hinge) @ frame(self.way(shoulder, elbow), rest_hinge).T
        low = frame(lower, hinge) @ frame(self.way(elbow, hand), rest_hinge).T
        twist = self.palm_twist(side, low, palm)
        forearm = unit(self.way(elbow, hand))
        half = rotvec_to_matrix(torch.from_numpy(0.5 * twist[:, None] * forearm)).numpy()
        drag = self.wrist_drag(low, goal, forearm)
        self.rel[:, shoulder] = girdle.transpose(0, 2, 1) @ top
        self.rel[:, elbow] = top.transpose(0, 2, 1) @ low @ half
        self.rel[:, hand] = half @ drag

    def palm_twist(self, side: int, low: np.ndarray, palm: np.ndarray) -> np.ndarray:
        """How far hand and forearm must be twisted for the palm to look where it should [rad]."""
        hand = self.roles.hand[side]
        along = unit(self.way(self.roles.lower_arm[side], hand))
        normal = self.palm_normal(side)
        normal = unit(normal - (normal @ along) * along)
        wanted = turn_vectors(low.transpose(0, 2, 1), palm)
        wanted = unit(wanted - (wanted @ along)[:, None] * along)
        angle = np.arctan2((np.cross(normal, wanted) @ along), wanted @ normal)
        return gaussian_filter1d(np.clip(np.unwrap(angle), -1.5, 1.5), 2.0, mode="wrap")

    def palm_normal(self, side: int) -> np.ndarray:
        """Out of the palm at rest."""
        hand, fingers = self.roles.hand[side], self.roles.fingers[side]
        across = self.rest[fingers[1][0]] - self.rest[fingers[4][0]]
        along = self.rest[fingers[2][0]] - self.rest[hand]
        normal = np.cross(along, across)
        return unit(normal if side == LEFT else -normal)

    def wrist_drag(self, low: np.ndarray, goal: np.ndarray, forearm: np.ndarray) -> np.ndarray:
        """The hand trails behind the way that the wrist goes."""
        speed = (np.roll(goal, -1, 0) - np.roll(goal, 1, 0)) * FPS / 2
        speed = gaussian_filter1d(speed, 1.5, axis=0, mode="wrap")
        local = turn_vectors(low.transpose(0, 2, 1), speed)
        bend = np.cross(forearm, -local)
        size = np.linalg.norm(bend, axis=-1, keepdims=True)
        bend = bend * (0.35 * np.tanh(0.28 * size / 0.35) / np.maximum(size, 1e-6))
        return rotvec_to_matrix(torch.from_numpy(lagged(bend, 0.04))).numpy()

    def curl_fingers(self, side: int, openness: np.ndarray) -> None:
        """Relaxed fingers, more so towards the little one; ``openness`` 1 stretches them."""
        for number, finger in enumerate(self.roles.fingers[side][1:]):
            for place, joint in enumerate(finger):
                children = self.children(joint)
                tip = self.rest[children[0]] if children else 2 * self.rest[joint] - self.rest[finger[place - 1]]
                axis = unit(np.cross(tip - self.rest[joint], self.palm_normal(side)))
                angle = (0.22 + 0.05 * number) * (0.8 if place == 0 else 1.0) * (1 - 0.8 * openness)
                self.rel[:, joint] = rotvec_to_matrix(torch.from_numpy(angle[:, None] * axis)).numpy()


def hand_path(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Hand's place (out, down, back, in arm lengths) and the palm's direction."""
    keys = HAND_KEYS[side]
    place = np.stack([eased([(t, p[axis]) for t, p, _ in keys], 0.085) for axis in range(3)], 1)
    palm = np.stack([eased([(t, n[axis]) for t, _, n in keys], 0.12) for axis in range(3)], 1)
    if side == RIGHT:
        start, end = WAVE_SECONDS
        for time in (TIME, TIME + PERIOD):
            share = np.clip((time - start) / (end - start), 0, 1)
            strength = np.sin(np.pi * share) ** 0.7
            phase = 2 * np.pi * WAVES * share
            place[:, 0] += 0.15 * strength * np.sin(phase)
            place[:, 1] += 0.035 * strength * np.cos(2 * phase)
            palm[:, 0] += 0.25 * strength * np.cos(phase)
    return place, palm


def build(body: AnnyBody) -> Motion:
    """The motion on a body of average shape."""
    show, performer = Choreography(), Performer(body)
    roles, rest = body.roles, performer.rest
    middle = (rest[roles.upper_leg[0]] + rest[roles.upper_leg[1]]) / 2
    hips, pelvis = pelvis_path(show, performer.floor - middle[1])
    performer.trunk(show, pelvis)
    for side in (LEFT, RIGHT):
        performer.leg(side, show.feet[side], hips, pelvis)
        performer.arm(side)
        raised = np.clip(-hand_path(side)[0][:, 1] * 1.6, 0, 1)
        performer.curl_fingers(side, raised)
    root = hips - turn_vectors(pelvis, middle)
    betas = torch.zeros(len(body.beta_names))
    return Motion(
        torch.from_numpy(performer.rel).float(),
        torch.from_numpy(root - root[0]).float(),
        torch.ones(FRAMES),
        float(FPS),
        leg_length(body, betas),
        "demo",
    )


if __name__ == "__main__":
    model = AnnyBody.load()
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    save_bvh(out, build(model), model)
    print(f"{out}: {FRAMES} frames, {out.stat().st_size / 1000:.0f} kB")
