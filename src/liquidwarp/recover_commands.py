"""The command that recovers bodies. Reading this imports neither torch nor a network."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from liquidwarp.errors import MediaError
from liquidwarp.given import check_inputs, check_numbers
from liquidwarp.options import parse_people

__all__ = ["Recover", "names_of"]


@dataclass(frozen=True)
class Recover:
    """Body Mesh Recovery alone: the 3-D body of a person in a video or in photos."""

    path: tyro.conf.Positional[tuple[Path, ...]]
    """One video, a folder of its frames, or photos of one person."""
    out: Path = Path("recovered")
    """The folder for the results."""
    fps: float | None = None
    """Frames per second at which a video is read; its own rate if not given."""
    frames: int | None = None
    """Only the first frames of a video."""
    person: tuple[str, ...] = ("largest",)
    """Who, if there are several people: 1, 2, 3... from large to small, or a point "x,y" [px]; one choice for all
    photos, or one for each."""
    glb: Literal["textured", "grey"] = "textured"
    """What the .glb file shows: the person's colours on the body, or the body alone, which is quicker."""
    cache: bool = True
    """Keep what was found for the next run."""

    def run(self) -> None:
        """Recover and write everything."""
        check_inputs("path", self.path)
        check_numbers(self.fps, self.frames)
        person = parse_people(self.person)
        from liquidwarp.arguments import check_apart, check_source
        from liquidwarp.files import check_target
        from liquidwarp.media import IMAGE_SUFFIXES, find_images, open_frames, read_image

        if self.out.exists() and not self.out.is_dir():
            raise MediaError(f"{self.out}: expected a folder for the results, got a file. Choose another name.")
        check_target(self.out / "body.npz")
        check_source("path", self.path)
        first = self.path[0]
        moving = len(self.path) == 1 and (first.is_dir() or first.suffix.lower() not in IMAGE_SUFFIXES)
        photos = [] if moving else [p for path in self.path for p in (find_images(path) if path.is_dir() else [path])]
        names = (first.stem,) if moving else names_of(photos)
        for name in names:
            check_apart(self.out / f"{name}{'.mp4' if moving else '.png'}", *self.path, *photos)

        from liquidwarp.body.anny import AnnyBody
        from liquidwarp.cache import Cache
        from liquidwarp.config import SynthesisConfig
        from liquidwarp.recover.digitize import recover_photos, recover_video
        from liquidwarp.recover.photos import load_sources, photos_of_video
        from liquidwarp.recover.views import views_of_video
        from liquidwarp.tasks.recover import RecoveryFiles, export_recovery, person_texture

        cache, model, shown = Cache(enabled=self.cache), AnnyBody.load(), None
        if moving:
            recovery = recover_video(first, fps=self.fps, max_frames=self.frames, person=person, cache=cache)
            if self.glb == "textured":
                chosen = views_of_video(first, recovery, SynthesisConfig.num_sources, model, cache, self.fps)
                shown = photos_of_video(first, recovery, chosen, model, cache, self.fps)
        elif self.glb == "textured":
            shown = load_sources(photos, model, person=person, cache=cache)
            recovery = shown.recovery
        else:
            recovery = recover_photos(photos, person=person, cache=cache)
        for note in recovery.notes:
            logging.getLogger(__name__).info("%s", note)
        texture = person_texture(shown, model) if shown else None
        pictures = open_frames(first, self.fps, self.frames) if moving else (read_image(path).rgb for path in photos)
        masks = (part.masks[index] for part in recovery.parts for index in range(len(part)))
        files = RecoveryFiles(self.out, names)
        cuts = recovery.shot, recovery.scene
        for written in export_recovery(recovery.body, model, pictures, files, recovery.fps, masks, texture, cuts):
            print(f"Written: {written}")


def names_of(photos: Sequence[Path]) -> tuple[str, ...]:
    """A name for each photo's files: its own, with a number where several photos are called alike.

    Example:
        >>> names_of([Path("a/1.jpg"), Path("b/1.jpg"), Path("back.png")])
        ('1-1', '1-2', 'back')
    """
    total, seen = Counter(path.stem for path in photos), Counter[str]()
    names = []
    for path in photos:
        seen[path.stem] += 1
        names.append(f"{path.stem}-{seen[path.stem]}" if total[path.stem] > 1 else path.stem)
    return tuple(names)
