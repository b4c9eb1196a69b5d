"""The command line. Reading it imports neither torch nor a network, so that ``--help`` answers at once.

Exit codes: 0 done, 2 the user can mend it (one line on stderr), 130 interrupted. A bug keeps its traceback and exits
with 1.
"""

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Union

import tyro

from liquidwarp.commands import Imitate, Transfer, View
from liquidwarp.errors import LiquidWarpError
from liquidwarp.evaluation_commands import PROTOCOLS, Evaluate
from liquidwarp.live_commands import Live
from liquidwarp.options import Device, Size
from liquidwarp.parsing import read_arguments
from liquidwarp.personal_commands import Personalize
from liquidwarp.recover_commands import Recover
from liquidwarp.training_commands import Prepare, Train

__all__ = [
    "COMMANDS",
    "Demo",
    "Doctor",
    "Evaluate",
    "Imitate",
    "Live",
    "Personalize",
    "Prepare",
    "Recover",
    "Train",
    "Transfer",
    "View",
    "main",
    "parse",
]


@dataclass(frozen=True)
class Demo:
    """Make a video of a person whom the project rendered itself: no photos, no network needed."""

    out: Path = Path("out/demo.mp4")
    """The video to make."""
    size: Size = 256
    """Side of the square in which the person is rendered [px]."""
    frames: int | None = None
    """Only the first frames."""
    device: Device = "auto"
    """auto, cpu, cuda, cuda:1, mps."""

    def run(self) -> None:
        """Imitate with the photos and the motion inside the package."""
        from liquidwarp.weights import asset

        Imitate(
            source=(asset("demo/front.jpg"), asset("demo/back.jpg")),
            driving=asset("demo/motion.bvh"),
            out=self.out,
            size=self.size,
            frames=self.frames,
            device=self.device,
        ).run()


@dataclass(frozen=True)
class Doctor:
    """Print versions, devices, checked weights, codecs and folders; exit with 2 if something is broken."""

    def run(self) -> None:
        """Print the report."""
        from liquidwarp.doctor import report

        lines, broken = report()
        print("\n".join(lines))
        if broken:
            raise LiquidWarpError(f"{len(broken)} of these are broken: {', '.join(broken)}.")


Command = Imitate | Transfer | View | Live | Personalize | Demo | Recover | Prepare | Train | Evaluate | Doctor

_ABOUT = """From a few photos of a person, make a video of that person in new motion.

examples:
  liquidwarp demo
  liquidwarp imitate --source front.jpg back.jpg --driving dance.mp4 --out out.mp4
  liquidwarp imitate --help    (every command has a help with examples)"""

COMMANDS: dict[str, tuple[type[Command], str]] = {
    "imitate": (
        Imitate,
        """
  liquidwarp imitate --source front.jpg back.jpg --driving dance.mp4 --out out.mp4
  liquidwarp imitate --source photos/ --driving walk.bvh --out walk.mp4 --background "#00b140"
  liquidwarp imitate --source me.mp4 --driving dance.mp4 --frames 48 --size 256 --out quick.mp4""",
    ),
    "transfer": (
        Transfer,
        """
  liquidwarp transfer --source alice.jpg --wear bob.jpg:upper --out alice.png
  liquidwarp transfer --source alice.jpg --wear bob.jpg:upper --wear carol.jpg:lower,feet --out alice.png
  liquidwarp transfer --source alice.jpg --wear bob.jpg:upper --driving dance.mp4 --out alice.mp4
  liquidwarp transfer --source alice.jpg --wear bob/:whole_head --out alice.png

parts, left and right being the person's own:
  head (hair, ears, neck), face, torso, hips,
  left_upper_arm, left_lower_arm, left_hand, left_upper_leg, left_lower_leg, left_foot, the same with right_

groups:
  upper (torso, arms), lower (hips, legs), feet, hands, arms, legs, left_arm, right_arm, left_leg, right_leg,
  whole_head (head, face), body (upper, lower, feet), all

Garments end where they end in the photos; a dress or a long coat: upper,lower. What is bare in the giver's photo is
bare on the wearer, in the wearer's tone of skin. docs/tasks.md tells more.""",
    ),
    "view": (
        View,
        """
  liquidwarp view --source front.jpg back.jpg --out around.mp4
  liquidwarp view --source front.jpg --angle 45 --out left.png
  liquidwarp view --source front.jpg back.jpg --pose a --turn 180 --frames 90 --out turntable.mp4
  liquidwarp view --source front.jpg back.jpg --pose walk.bvh --background "#00b140" --out walk.mp4

The picture behind the person stays as it is: only the person is seen from other sides. docs/tasks.md tells more.""",
    ),
    "personalize": (
        Personalize,
        """
  liquidwarp personalize --source front.jpg back.jpg --out alice.liquid
  liquidwarp personalize --source alice.mp4 --quality draft --size 256 --out alice.liquid

imitate, transfer and view take the file: --source alice.liquid. The time that each quality needs is printed first.
Ctrl-C keeps the best so far. docs/personalize.md tells more.""",
    ),
    "live": (
        Live,
        """
  liquidwarp live --source front.jpg
  liquidwarp live --source front.jpg --driving 1 --background white
  liquidwarp live --source front.jpg --driving dance.mp4 --out live.mp4 --seconds 10

docs/live.md says how fast it is, and what it cannot do.""",
    ),
    "demo": (
        Demo,
        """
  liquidwarp demo
  liquidwarp demo --out try.mp4 --frames 24""",
    ),
    "recover": (
        Recover,
        """
  liquidwarp recover clip.mp4 --out recovered
  liquidwarp recover front.jpg back.jpg --out recovered

It writes NAME.mp4 (for photos NAME.png): the body drawn over the picture, NAME.npz: parameters,
NAME.bvh: skeleton and motion for Blender and others, NAME.glb: the skinned mesh in the person's colours.""",
    ),
    "prepare": (
        Prepare,
        """
  liquidwarp prepare dance.mp4 walk.mp4 --out people
  liquidwarp prepare videos/ alice_photos/ --out people --frames 96
  liquidwarp prepare iPER/ --out people

Per clip: squares around the person, mattes, backgrounds, bodies, and sheet.jpg to look at.
docs/training.md tells more.""",
    ),
    "train": (
        Train,
        """
  liquidwarp train .lab/wardrobe --out runs/mine --preset lite --minutes 60
  liquidwarp train .lab/wardrobe --out runs/mine --preset lite --minutes 90 --size 512 --people 2
  liquidwarp train .lab/wardrobe --out runs/try --minutes 2 --settings loss.adversarial=0 num_sources=3
  liquidwarp train --videos people --preset lite --init lite --out runs/own --minutes 60
  liquidwarp train .lab/wardrobe --videos people --config configs/videos.toml --out runs/mine

The second line goes on with the first one's run, at the size of the product. Every few minutes a checkpoint, the
weights and a sheet to look at are written, people_STEP.png. Other commands use the weights by
--renderer runs/mine/weights. docs/training.md is the recipe, also for several GPUs.""",
    ),
    "evaluate": (
        Evaluate,
        """
  liquidwarp evaluate recover clip.mp4 photo.jpg --out evaluation
  liquidwarp evaluate recover --empty landscapes
  liquidwarp evaluate truth .lab/wardrobe --people 24
  liquidwarp evaluate synthetic .lab/wardrobe --models texture runs/mine/weights --people 8 --out evaluation
  liquidwarp evaluate transfer .lab/wardrobe --people 6 --out evaluation
  liquidwarp evaluate flicker out.mp4 dance.mp4
  liquidwarp evaluate self clip.mp4 --sources 4 --models texture base --out evaluation
  liquidwarp evaluate self people --models texture lite runs/mine/weights --out evaluation
  liquidwarp evaluate self clip.mp4 --sources 4 --models lite --personalize --out evaluation
  liquidwarp evaluate personalize clip.mp4 --models lite --variants default transfer steps=200

"people" is what liquidwarp prepare made. docs/evaluate.md says which command measures what, docs/results.md
how to read the tables.""",
    ),
    "doctor": (
        Doctor,
        """
  liquidwarp doctor    (please add its output to every bug report)""",
    ),
}
"""Name: class, examples."""


def parse(arguments: Sequence[str]) -> Command:
    """Arguments to a command; exits with 0 after ``--help``.

    Raises:
        SettingError: a typing mistake, with a hint.
    """
    chosen = arguments[0] if arguments else ""
    known: dict[str, tuple[type[Any], str]] = dict(COMMANDS)
    if chosen == "evaluate" and len(arguments) > 1 and arguments[1] in PROTOCOLS:
        chosen = f"evaluate {arguments[1]}"  # a command of its own, so that its help has examples too
        known[chosen] = PROTOCOLS[arguments[1]]
        arguments = [chosen, *arguments[2:]]
    choices = [
        Annotated[kind, tyro.conf.subcommand(name, description=_description(kind, examples if name == chosen else ""))]
        for name, (kind, examples) in known.items()
    ]
    union: Any = Union[tuple(choices)]  # noqa: UP007 (made at run time)
    command = read_arguments(union, arguments, _ABOUT)
    return Evaluate(command) if chosen.startswith("evaluate ") else command


def _description(kind: type[Any], examples: str) -> str:
    """What a command does; with its examples only in its own help."""
    about = (kind.__doc__ or "").strip()
    return f"{about}\n\nexamples:{examples}" if examples else about


def _run(arguments: Sequence[str]) -> None:
    try:
        if list(arguments) == ["--version"]:
            print(f"liquidwarp {version('liquidwarp')}")
        else:
            parse(arguments).run()
    finally:
        sys.stdout.flush()  # a reader who left is met here, not when Python ends


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``liquidwarp``."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # Threads that spin while they wait are many times slower where other programs want the cores too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.stderr is None or not sys.stderr.isatty():  # in a log a bar is a line each time: 36000 an hour are too many
        os.environ.setdefault("TQDM_MININTERVAL", "10")
    try:
        _run(sys.argv[1:] if arguments is None else arguments)
    except LiquidWarpError as error:
        print(f"liquidwarp: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:  # who reads the output, such as "| head", has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on from the last finished part.", file=sys.stderr)
        raise SystemExit(130) from None
