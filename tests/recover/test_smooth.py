"""No lag, no lost motion, no noise; gaps bridged."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from liquidwarp.body.model import BodyParams
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.rotations import matrix_to_rotvec, rotation_about
from liquidwarp.recover.fitting.smooth import bridge_gaps, smooth_body, smooth_change, smooth_series, without_long_gaps

FPS = 30.0


def noisy(signal: np.ndarray, noise: float) -> np.ndarray:
    return signal + noise * np.random.default_rng(0).standard_normal(signal.shape)


@pytest.mark.parametrize("hertz", [0.5, 1.0, 2.0])
def test_a_sine_keeps_phase_and_size(hertz: float) -> None:
    time = np.arange(150) / FPS
    signal = np.sin(2 * np.pi * hertz * time)[:, None]
    smoothed = smooth_series(noisy(signal, 0.02), FPS)
    middle = slice(15, -15)
    wave = np.exp(2j * np.pi * hertz * time[middle])
    phase = np.angle((smoothed[middle, 0] * wave).sum() / (signal[middle, 0] * wave).sum())
    size = np.abs((smoothed[middle, 0] * wave).sum() / (signal[middle, 0] * wave).sum())
    assert abs(phase) / (2 * np.pi * hertz) < 0.002  # [s]
    assert 0.97 < size < 1.02
    assert np.abs(smoothed - signal)[middle].mean() < np.abs(noisy(signal, 0.02) - signal)[middle].mean()


def test_a_resting_limb_is_held_still() -> None:
    raw = noisy(np.zeros((120, 3)), 0.01)
    smoothed = smooth_series(raw, FPS)
    jitter = np.abs(np.diff(smoothed, 2, axis=0)).mean() / np.abs(np.diff(raw, 2, axis=0)).mean()
    assert jitter < 0.1


def test_an_outlier_is_ignored() -> None:
    raw = noisy(np.linspace(0, 1, 90)[:, None], 0.01)
    raw[40] += 2.0
    smoothed = smooth_series(raw, FPS)
    assert abs(smoothed[40, 0] - 40 / 89) < 0.03


def test_strength_zero_changes_nothing() -> None:
    raw = noisy(np.zeros((20, 2)), 1.0)
    assert np.array_equal(smooth_series(raw, FPS, 0.0), raw)


def test_frames_without_trust_are_filled() -> None:
    raw = np.linspace(0, 1, 60)[:, None].copy()
    trust = np.ones(60)
    raw[30:33], trust[30:33] = 5.0, 0.0
    assert np.abs(smooth_series(raw, FPS, 1.0, trust)[30:33, 0] - np.linspace(0, 1, 60)[30:33]).max() < 0.05


def turning_body(angles: torch.Tensor) -> BodyParams:
    frames = len(angles)
    rotations = torch.eye(3).repeat(frames, 2, 1, 1)
    rotations[:, 1] = rotation_about("y", angles)
    camera = WeakPerspective(torch.linspace(100, 110, frames), torch.stack([angles * 10, angles * 0], 1))
    return BodyParams(torch.zeros(1), rotations, camera)


def test_smoothed_rotations_are_rotations_and_follow() -> None:
    torch.manual_seed(0)
    truth = torch.sin(torch.arange(90) / FPS * 6)
    body = smooth_body(turning_body(truth + 0.02 * torch.randn(90)), FPS)
    product = body.rel_rotmats @ body.rel_rotmats.transpose(-1, -2)
    torch.testing.assert_close(product, torch.eye(3).expand_as(product), atol=1e-5, rtol=0)
    angle = matrix_to_rotvec(body.rel_rotmats)[:, 1, 1]
    assert float((angle - truth).abs()[5:-5].mean()) < 0.015
    assert torch.equal(body.rel_rotmats[:, 0], torch.eye(3).expand(90, 3, 3))


def test_a_hand_is_not_torn_off_by_errors_that_cancel_along_the_arm() -> None:
    """An elbow that twists to and fro under a forearm that rests: in the camera's frame nothing moves."""
    torch.manual_seed(0)
    twist = 0.8 * torch.randn(80)
    body = turning_body(twist)
    rotations = torch.stack([body.rel_rotmats[:, 1], body.rel_rotmats[:, 1].mT], 1)  # upper arm, forearm
    smoothed = smooth_body(replace(body, rel_rotmats=rotations), FPS, parents=(-1, 0)).rel_rotmats
    forearm = smoothed[:, 0] @ smoothed[:, 1]
    torch.testing.assert_close(forearm, torch.eye(3).expand(80, 3, 3), atol=1e-4, rtol=0)
    assert float(matrix_to_rotvec(smoothed[:, 0]).diff(dim=0).abs().mean()) < 0.2 * float(twist.diff().abs().mean())


def test_a_joint_that_never_moves_follows_its_parent() -> None:
    body = turning_body(torch.sin(torch.arange(60) / FPS * 6))
    fixed = rotation_about("x", torch.full((60,), 0.7))
    rotations = torch.stack([body.rel_rotmats[:, 1], fixed], 1)
    smoothed = smooth_body(replace(body, rel_rotmats=rotations), FPS, parents=(-1, 0)).rel_rotmats
    assert torch.equal(smoothed[:, 1], fixed)


def arm(upper: torch.Tensor, lower: torch.Tensor, still: torch.Tensor) -> BodyParams:
    """A root, an upper arm, a forearm, and a finger that bends by ``still``; the camera goes along with the first."""
    rest = torch.eye(3).expand(len(upper), 3, 3)
    joints = [rest, rotation_about("y", upper), rotation_about("y", lower), rotation_about("z", still)]
    camera = WeakPerspective(100 * (1 + 0.1 * upper), torch.stack([10 * upper, 5 * lower], 1))
    return BodyParams(torch.zeros(3), torch.stack(joints, 1), camera)


ARM = (-1, 0, 1, 2)


def test_a_fast_motion_stays_where_only_its_change_is_smoothed() -> None:
    frame = torch.arange(90)
    fast, slow = torch.sin(frame / FPS * 40), 0.2 * torch.sin(frame / FPS * 2)
    before = arm(fast, -fast, fast.abs())
    wanted = arm(fast + slow, -fast - slow, fast.abs())
    shaking = arm(fast + slow + 0.05 * (-1.0) ** frame, -fast - slow, fast.abs())
    result = smooth_change(before, shaking, FPS, ARM)
    inner = slice(6, -6)
    for joint in (1, 2):
        apart = result.rel_rotmats[inner, joint].mT @ wanted.rel_rotmats[inner, joint]
        assert float(matrix_to_rotvec(apart).norm(dim=-1).max()) < 0.02
    torch.testing.assert_close(result.camera.scale[inner], wanted.camera.scale[inner], rtol=5e-3, atol=0)
    torch.testing.assert_close(result.camera.translation[inner], wanted.camera.translation[inner], rtol=0, atol=0.3)
    assert torch.equal(result.rel_rotmats[:, 3], before.rel_rotmats[:, 3])
    whole = smooth_body(shaking, FPS, parents=ARM)  # which flattens the fast motion
    assert float((whole.camera.translation - wanted.camera.translation)[inner].abs().mean()) > 1


def test_nothing_changed_or_no_smoothing_wanted() -> None:
    swing = torch.sin(torch.arange(30) / FPS * 9)
    before, after = arm(swing, swing, swing), arm(1.1 * swing, swing, swing)
    same = smooth_change(before, before, FPS, ARM)
    torch.testing.assert_close(same.rel_rotmats, before.rel_rotmats)
    torch.testing.assert_close(same.camera.scale, before.camera.scale)
    assert smooth_change(before, after, FPS, ARM, strength=0.0) is after
    assert smooth_change(before[:3], after[:3], FPS, ARM).rel_rotmats.shape[0] == 3


def test_a_gap_is_bridged_by_slerp() -> None:
    angles = torch.arange(12) * 0.1
    body = turning_body(angles)
    fitted = torch.ones(12, dtype=torch.bool)
    fitted[[0, 4, 5, 6, 11]] = False
    spoilt = BodyParams(body.betas, body.rel_rotmats.clone(), body.camera)
    spoilt.rel_rotmats[~fitted] = torch.eye(3)
    bridged = bridge_gaps(spoilt, fitted)
    expected = angles.clone()
    expected[0], expected[11] = angles[1], angles[10]
    torch.testing.assert_close(matrix_to_rotvec(bridged.rel_rotmats)[:, 1, 1], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(bridged.camera.translation[:, 0], expected * 10, atol=1e-3, rtol=0)


def test_steps_of_a_steady_hand_are_noise_if_told_so() -> None:
    t = np.arange(120) / 24
    values = np.stack([np.sin(2 * np.pi * 3 * t), np.zeros(120)], 1) * 0.002
    kept = smooth_series(values, 24.0)
    told = smooth_series(values, 24.0, least_noise=0.003)
    assert told.std() < 0.7 * kept.std()


@pytest.mark.parametrize("fps", [24.0, 48.0])
def test_the_frame_rate_does_not_decide_how_much_is_smoothed(fps: float) -> None:
    t = np.arange(round(5 * fps)) / fps
    rng = np.random.default_rng(0)
    values = np.stack([np.sin(2 * np.pi * 0.7 * t), np.cos(2 * np.pi * 0.7 * t)], 1)
    smoothed = smooth_series(values + 0.02 * rng.normal(size=values.shape), fps)
    inner = slice(round(0.3 * fps), -round(0.3 * fps))
    assert np.linalg.norm(smoothed - values, axis=1)[inner].mean() < 0.025


def test_no_bridge_leads_across_a_cut() -> None:
    angles = torch.tensor([0.0, 0, 9, 9, 9, 1, 1, 9])
    fitted = angles < 9
    shot = torch.tensor([0, 0, 0, 1, 2, 2, 2, 2])
    bridged = bridge_gaps(turning_body(angles), fitted, shot)
    turned = matrix_to_rotvec(bridged.rel_rotmats[:, 1])[:, 1]
    torch.testing.assert_close(turned, torch.tensor([0.0, 0, 0, 0, 1, 1, 1, 1]), atol=1e-5, rtol=0)


def test_a_body_is_smoothed_shot_by_shot() -> None:
    angles = torch.cat([torch.zeros(30), torch.ones(30)])
    moments = torch.arange(60) + (torch.arange(60) >= 30)
    smoothed = smooth_body(turning_body(angles), FPS, moments=moments)
    torch.testing.assert_close(matrix_to_rotvec(smoothed.rel_rotmats[:, 1])[:, 1], angles, atol=1e-5, rtol=0)
    change = smooth_change(turning_body(torch.zeros(60)), turning_body(angles), FPS, (-1, 0), moments=moments)
    torch.testing.assert_close(matrix_to_rotvec(change.rel_rotmats[:, 1])[:, 1], angles, atol=1e-5, rtol=0)


def test_long_absences_are_left_out() -> None:
    found = torch.tensor([0, 0, 1, 0, 1, 0, 0, 0, 1, 1, 0, 1, 0]).bool()
    kept = torch.tensor([0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0]).bool()
    assert without_long_gaps(found, torch.arange(13), 2).tolist() == kept.tolist()
    cut = torch.arange(13) + (torch.arange(13) >= 11)
    assert without_long_gaps(found, cut, 2).tolist() == [*kept[:10].tolist(), False, True, False]
