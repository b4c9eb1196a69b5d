"""Typed errors. Each message names the input, what was expected, what was found and what to do.

Every class derives from :class:`LiquidWarpError`; the command line prints such an error in one line and
exits with 2. Anything else that escapes is our own bug and keeps its traceback.
"""


class LiquidWarpError(Exception):
    """Base class of every error that a user can cause and mend."""


class ShapeError(LiquidWarpError, ValueError):
    """A tensor has another shape, type or range than the function needs."""


class SettingError(LiquidWarpError, ValueError):
    """A setting has a value that is not allowed."""


class MediaError(LiquidWarpError, OSError):
    """An image, a video or a folder of them cannot be read or written."""


class MotionError(LiquidWarpError, ValueError):
    """A motion file cannot be understood (unknown joints, no frames, broken syntax)."""


class NoPersonFoundError(LiquidWarpError, ValueError):
    """No person, or not the person that was asked for, is in the picture."""


class WeightsNotFoundError(LiquidWarpError, FileNotFoundError):
    """A weight file is missing."""


class WeightsCorruptError(LiquidWarpError, OSError):
    """A weight file is damaged or belongs to another version."""
