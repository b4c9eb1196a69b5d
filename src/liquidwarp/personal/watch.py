"""How personalisation is shown: a progress bar, and a picture of what was learned."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from liquidwarp.errors import LiquidWarpError
from liquidwarp.files import write_error
from liquidwarp.learn.report import write_png
from liquidwarp.personal.personalize import Moment, Watcher

__all__ = ["ProgressBar", "in_words"]

_log = logging.getLogger(__name__)


class ProgressBar(Watcher):
    """Shows a bar, tells the time that each quality would take, and paints a preview."""

    def __init__(self, preview: Path | None = None, tell: Callable[[str], None] | None = None) -> None:
        """Begin.

        Args:
            preview: A PNG file that shows source, before, now and truth, row by row, of what is held out.
            tell: Gets the sentences; None: the log.
        """
        self._preview = preview
        self._tell = tell or (lambda text: _log.info("%s", text))
        self._bar: tqdm | None = None

    def prepare(self, text: str, done: int, total: int) -> None:
        """See :class:`Watcher`."""
        bar = self._bar_of(total, text)
        bar.n = done
        bar.refresh()

    def notes(self, texts: Sequence[str]) -> None:
        """See :class:`Watcher`."""
        for text in texts:
            self._tell(text)

    def expect(self, seconds: Mapping[str, float]) -> None:
        """See :class:`Watcher`."""
        self._close()
        self._tell("Time here: " + ", ".join(f"{name} about {in_words(time)}" for name, time in seconds.items()) + ".")

    def see(self, moment: Moment) -> None:
        """See :class:`Watcher`."""
        bar = self._bar_of(moment.steps, "Personalising")
        bar.n = moment.step
        bar.set_postfix_str(f"error {moment.best:.0%} of before")
        bar.refresh()
        if moment.preview is not None and self._preview is not None:
            try:
                write_png(self._preview, moment.preview)
            except (LiquidWarpError, OSError) as error:
                reason = write_error(self._preview, error) if isinstance(error, OSError) else error
                _log.warning("No preview: %s", reason)
                self._preview = None
        if moment.step >= moment.steps:
            self._close()

    def _bar_of(self, total: int, text: str) -> "tqdm":
        if self._bar is None or self._bar.total != total:
            self._close()
            self._bar = tqdm(total=total, leave=False)
        self._bar.set_description(text)
        return self._bar

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def in_words(seconds: float) -> str:
    """A time as people say it.

    Example:
        >>> in_words(42.0), in_words(400.0), in_words(9000.0)
        ('40 s', '7 min', '2.5 h')
    """
    if seconds < 90:
        return f"{max(5, 5 * round(seconds / 5))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
