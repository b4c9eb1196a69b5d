"""How often a person is claimed to be where nobody is."""

from dataclasses import dataclass
from pathlib import Path

from liquidwarp.errors import NoPersonFoundError
from liquidwarp.media import find_images, read_image
from liquidwarp.recover.tracking.tracker import PersonDetector

__all__ = ["EmptyReport", "evaluate_empty"]


@dataclass(frozen=True)
class EmptyReport:
    """Pictures of nobody; ``str()`` says in how many somebody was seen."""

    pictures: int
    claimed: tuple[str, ...]
    """Names of the pictures in which a person is claimed."""

    @property
    def share(self) -> float:
        """Of the pictures in which a person is claimed [0, 1]."""
        return len(self.claimed) / self.pictures

    def __str__(self) -> str:
        names = f": {', '.join(self.claimed)}" if self.claimed else ""
        return f"A person is claimed in {len(self.claimed)} of {self.pictures} pictures ({self.share:.1%}){names}"


def evaluate_empty(folder: str | Path, count: int | None = None, detector: PersonDetector | None = None) -> EmptyReport:
    """Look for the largest person in pictures that hold nobody.

    Args:
        folder: Pictures without people.
        count: Only so many of them, evenly spread over the folder.
        detector: Another than the bundled one.

    Raises:
        MediaError: no pictures there, or one cannot be read.
    """
    files = find_images(Path(folder))
    if count is not None and count < len(files):
        files = [files[index * len(files) // count] for index in range(count)]
    detector, claimed = detector or PersonDetector(), []
    for file in files:
        try:
            detector.find(read_image(file).rgb, None)
        except NoPersonFoundError:
            continue
        claimed.append(file.name)
    return EmptyReport(len(files), tuple(claimed))
