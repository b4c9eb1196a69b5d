"""Every setting of the package: frozen dataclasses, one default each. A field's docstring is its command-line help.

No torch here, so that ``liquidwarp --help`` answers at once.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from liquidwarp.errors import SettingError

__all__ = [
    "BodyNoise",
    "DetectConfig",
    "DiscriminatorConfig",
    "FitConfig",
    "GeneratorConfig",
    "ImitateConfig",
    "LossConfig",
    "SynthesisConfig",
    "SyntheticConfig",
    "TrainConfig",
    "ViewConfig",
]


@dataclass(frozen=True)
class GeneratorConfig:
    """Shape of the Liquid Warping GAN's generator. The defaults are the preset "base"."""

    fusion: Literal["attention", "attention-adain", "add", "average", "soft-gate", "concat", "texture"] = "attention"
    """How warped source features join the transfer stream. "concat" feeds the sources as extra input channels and
    "texture" has no network at all: both are baselines."""
    stem_channels: int = 32
    """Features at full resolution."""
    channels: tuple[int, int, int] = (64, 128, 192)
    """Features at 1/2, 1/4 and 1/8 of the resolution."""
    num_blocks: int = 5
    """Residual blocks at 1/8 of the resolution."""
    value_channels: int = 64
    """Features of the attention's value projection, at most the fused feature's own width."""
    modulation_channels: int = 64
    """Hidden features of SPADE."""
    modulation_kernel: Literal[1, 3] = 1
    """Kernel of SPADE's joined gamma and beta convolution."""
    decoder_convs: int = 2
    """3x3 convolutions per decoder scale."""
    background_channels: tuple[int, int, int, int] = (16, 32, 64, 96)
    """Features of the background network at 1, 1/2, 1/4 and 1/8 of the resolution."""
    background_blocks: int = 4
    """Dilated residual blocks of the background network."""
    copy_gate: bool = True
    """Let each pixel choose between the network's colour and the warped texture, which keeps sharp detail sharp."""
    concat_sources: int = 2
    """How many sources the baseline "concat" takes; it ignores the others."""

    def __post_init__(self) -> None:
        widths = (
            self.stem_channels,
            *self.channels,
            self.value_channels,
            self.modulation_channels,
            *self.background_channels,
        )
        if min(widths) < 1:
            raise SettingError(f"generator channels: expected at least 1 everywhere, got {widths}.")
        for name in ("num_blocks", "background_blocks", "decoder_convs", "concat_sources"):
            if getattr(self, name) < 1:
                raise SettingError(f"generator.{name}: expected at least 1, got {getattr(self, name)}.")

    @staticmethod
    def preset(name: str) -> "GeneratorConfig":
        """A named size: "lite" for CPUs, "base", "paper" (the widths of the published network).

        Raises:
            SettingError: no such preset.
        """
        if name not in _GENERATOR_PRESETS:
            raise SettingError(
                f"generator preset {name!r} is not known; expected one of: {', '.join(_GENERATOR_PRESETS)}."
            )
        return _GENERATOR_PRESETS[name]


_GENERATOR_PRESETS = {
    "lite": GeneratorConfig(
        stem_channels=16,
        channels=(32, 76, 128),
        num_blocks=4,
        value_channels=32,
        modulation_channels=32,
        modulation_kernel=1,
        decoder_convs=1,
        background_channels=(12, 24, 48, 64),
    ),
    "base": GeneratorConfig(),
    "paper": GeneratorConfig(
        stem_channels=64,
        channels=(64, 128, 256),
        num_blocks=6,
        value_channels=256,
        modulation_channels=128,
        modulation_kernel=3,
        decoder_convs=2,
        background_channels=(64, 128, 128, 256),
        background_blocks=6,
    ),
}


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Shape of the discriminators."""

    crops: tuple[Literal["global", "body", "face"], ...] = ("global", "body", "face")
    """What each discriminator looks at: the whole picture, the box around the person, the box around the head."""
    channels: int = 48
    """Features of the first layer; each next one doubles, up to four times as many."""
    num_layers: int = 4
    """Convolutions before the last; 4 sees patches of 70 px."""
    norm: Literal["instance", "spectral"] = "instance"
    """What keeps the discriminators smooth."""
    face_size: int = 64
    """Side of the head's crop [px]."""

    def __post_init__(self) -> None:
        if not self.crops:
            raise SettingError("discriminator.crops: expected at least one of global, body, face, got none.")
        if self.num_layers < 2 or self.channels < 1 or self.face_size < 32:
            raise SettingError("discriminator: expected num_layers >= 2, channels >= 1 and face_size >= 32.")


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses (paper Sec. 3.4); 0 switches one off."""

    reconstruction: float = 2.0
    """L1 between the composed picture and the truth (lambda_rec)."""
    person: float = 4.0
    """L1 inside and just beyond the true matte, of pictures reduced to 64 px: right colours, no reward for blur."""
    invented: float = 2.0
    """The same for the network's own colour, also where the warped texture covers it."""
    copied: float = 0.5
    """Cross-entropy of the gate between the warped texture and the network's colour: copy where copying is right."""
    source: float = 1.0
    """L1 and matte error of the source stream's auto-encoder."""
    background: float = 4.0
    """L1 of the background network."""
    perceptual: float = 1.5
    """Distance of perceptual features (lambda_perc)."""
    perceptual_features: Literal["efficientnet", "efficientnet+hed", "vgg19"] = "efficientnet+hed"
    """Which networks judge. "vgg19" is the paper's and needs torchvision's weight file, which may not be shipped."""
    vgg19_file: Path | None = None
    """torchvision's vgg19-dcbb9e9d.pth; only read for "vgg19"."""
    face: float = 0.5
    """Distance of face identity features (lambda_face)."""
    face_detail: float = 0.5
    """Distance of perceptual features in the enlarged head, which is small in a picture of the whole body."""
    mask: float = 2.0
    """L1 and binary cross-entropy of the matte (lambda_mask)."""
    outline: float = 1.0
    """1 - intersection over union of the soft silhouettes."""
    consistency: float = 1.0
    """L1 between what is made up in a target and what was made up in the frame before, where no photo sees it."""
    smooth_mask: float = 0.1
    """Total variation of the matte (lambda_tv)."""
    adversarial: float = 0.6
    """What the discriminators say (lambda_adv)."""
    feature_matching: float = 0.0
    """L1 between the discriminators' features of the made and of the true picture."""
    adversarial_kind: Literal["lsgan", "hinge"] = "lsgan"
    """Form of the adversarial loss."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and value < 0:
                raise SettingError(f"loss.{field.name}: expected a weight >= 0, got {value}.")
        if self.perceptual_features == "vgg19" and self.vgg19_file is None:
            raise SettingError("loss.vgg19_file: perceptual_features vgg19 needs torchvision's vgg19-dcbb9e9d.pth.")


@dataclass(frozen=True)
class DetectConfig:
    """How people are detected in photos and videos."""

    threads: int = 0
    """CPU threads of each network; 0: as many as there are cores, at most 4."""
    detection_threshold: float = 0.5
    """Least score [0, 1] of a place where a person may be."""
    pose_threshold: float = 0.5
    """Least score [0, 1] of a pose; below it the person counts as lost."""
    min_height: float = 64.0
    """Smaller people [px] are refused: too little can be seen of them."""

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise SettingError(f"detect.threads: expected 0 (automatic) or more, got {self.threads}.")
        for name in ("detection_threshold", "pose_threshold"):
            if not 0 < getattr(self, name) < 1:
                raise SettingError(f"detect.{name}: expected a share between 0 and 1, got {getattr(self, name)}.")
        if self.min_height < 1:
            raise SettingError(f"detect.min_height: expected at least 1 px, got {self.min_height}.")


@dataclass(frozen=True)
class FitConfig:
    """How the body is fitted to what the detectors saw."""

    key_frames: int = 32
    """Frames of a video, or photos, from which the one shape is found."""
    landmark_steps: int = 12
    """Levenberg-Marquardt steps on the landmarks."""
    outline_rounds: int = 4
    """How often the outline is drawn and matched anew for the shape; 0 fits landmarks only, so girths stay average."""
    frame_outline_rounds: int = 3
    """The same for the pose of every frame."""
    smoothing: float = 1.0
    """Strength of the temporal smoothing of a video; 0 switches it off. Never moves motion in time."""
    fingers: bool = True
    """Pose the fingers from hand landmarks; otherwise they rest in a natural curl."""
    photometric: bool = True
    """Align the frames of a video, or several photos, by the colours of the skin and the clothes."""

    def __post_init__(self) -> None:
        for name, least in (
            ("key_frames", 1),
            ("landmark_steps", 1),
            ("outline_rounds", 0),
            ("frame_outline_rounds", 0),
        ):
            if getattr(self, name) < least:
                raise SettingError(f"fit.{name}: expected at least {least}, got {getattr(self, name)}.")
        if self.smoothing < 0:
            raise SettingError(f"fit.smoothing: expected at least 0, got {self.smoothing}.")


@dataclass(frozen=True)
class SynthesisConfig:
    """How a person is prepared and rendered."""

    size: int = 512
    """Side of the square in which the person is rendered [px]: 256, 512 or 1024; smaller is faster."""
    renderer: str = "auto"
    """texture: the photos, warped. lite, base: the bundled networks. Or a folder with a trained network's weights.
    auto: the bundled network that suits the device, or texture if none is bundled."""
    num_sources: int = 4
    """How many frames of a source video are used; of photos all are."""
    margin: float = 0.1
    """Free space around the person in that square, as a share of the person's height."""
    extension: Literal["auto", "halo", "shell", "both", "none"] = "auto"
    """What carries hair and clothes outside of the body. halo: made from each photo. shell: an inflated skin. auto:
    both for networks, halo for texture."""
    keep: Literal["photos", "nothing"] = "photos"
    """What a network must keep. photos: half of the warped photos' colours, made-up ones included, and the mean of both
    outlines. nothing: all is the network's, which has the cleaner outline."""
    background: Literal["good", "draft"] = "good"
    """How the background behind the person is invented. good: by patches of the photo (seconds). draft: smeared."""
    shadow: bool = True
    """Paint a soft shadow where feet touch the ground of the picture behind; plain colours have no ground."""
    temporal: bool = False
    """Let the network attend to the frame before as to one more photo (the paper's temporal attention). Takes twice as
    long and flickers a few per cent less (docs/results.md)."""
    batch: int = 0
    """Frames rendered at once; 0: 1 on a CPU, 8 on a GPU."""
    half: bool = True
    """Run the network in half precision on an NVIDIA GPU."""

    def __post_init__(self) -> None:
        if self.size not in (256, 512, 1024):
            raise SettingError(f"size: expected 256, 512 or 1024, got {self.size}.")
        for name, least in (("num_sources", 1), ("batch", 0)):
            if getattr(self, name) < least:
                raise SettingError(f"{name}: expected at least {least}, got {getattr(self, name)}.")
        if not 0 <= self.margin <= 1:
            raise SettingError(f"margin: expected 0 to 1, got {self.margin}.")


@dataclass(frozen=True)
class ImitateConfig:
    """How a motion is put into the source's picture."""

    camera: Literal["natural", "follow", "fixed"] = "natural"
    """natural: the source's place and size, the driving's relative motion, feet on the ground. follow: as in the
    driving video. fixed: the person stays in place."""
    layout: Literal["clean", "strip"] = "clean"
    """clean: the result alone, in the first photo's frame. strip: source, driving and result side by side."""

    def __post_init__(self) -> None:
        if self.camera not in ("natural", "follow", "fixed"):
            raise SettingError(f"camera: expected natural, follow or fixed, got {self.camera!r}.")
        if self.layout not in ("clean", "strip"):
            raise SettingError(f"layout: expected clean or strip, got {self.layout!r}.")


@dataclass(frozen=True)
class ViewConfig:
    """How the camera walks around a person."""

    turn: float | int = 360.0
    """How far the camera goes around the person [degrees]; positive towards the person's left."""
    frames: int | None = None
    """Number of frames; 180 if not given, of a moving pose all that it has."""
    angle: float | int | None = None
    """A single picture from this side instead [degrees]: 90 from the person's left, 180 from behind."""
    elevation: float | int = 0.0
    """How far the camera is raised, looking down [degrees]; 0 leaves it where the photographer held it. The background
    does not tilt with it."""

    def __post_init__(self) -> None:
        if self.frames is not None and self.frames < 1:
            raise SettingError(f"frames: expected at least 1, got {self.frames}.")
        if not -3600 <= self.turn <= 3600:
            raise SettingError(f"turn: expected -3600 to 3600 degrees, got {self.turn}.")
        if self.angle is not None and not -3600 <= self.angle <= 3600:
            raise SettingError(f"angle: expected -3600 to 3600 degrees, got {self.angle}.")
        if self.angle is not None and (self.turn != type(self).turn or (self.frames or 1) > 1):
            raise SettingError("angle: expected neither turn nor frames beside it: it is one picture. Leave one out.")
        if not -60 <= self.elevation <= 60:
            raise SettingError(f"elevation: expected -60 to 60 degrees, got {self.elevation}.")


@dataclass(frozen=True)
class BodyNoise:
    """How far the bodies that a network is conditioned on are from the true ones.

    Matched to the fit's errors in the picture, outlines first: docs/recover.md has the figures.
    """

    betas: float = 0.075
    """Standard deviation of each shape coefficient."""
    root: float = 0.005
    """Of the root's orientation, per axis [rad]."""
    joint: float = 0.006
    """Of every other joint's rotation, per axis [rad]."""
    hand: float = 0.06
    """Of the wrists' rotation, per axis [rad]."""
    finger: float = 0.2
    """Of the finger joints' rotation, per axis [rad]."""
    twist: float = 0.3
    """Of the turn of each limb's half about its own axis [rad], which the outline does not show; the trunk turns a
    third of it."""
    scale: float = 0.003
    """Of the camera's scale, relative."""
    translation: float = 0.002
    """Of the camera's translation [m]."""

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if getattr(self, name) < 0:
                raise SettingError(f"noise.{name}: expected at least 0, got {getattr(self, name)}.")


@dataclass(frozen=True)
class SyntheticConfig:
    """People rendered on the fly."""

    num_identities: int = 0
    """Show only so many people, in ever new poses and places; 0: ever new people. The check of a recipe: it must learn
    one person by heart, then 64, then all."""
    supersample: int = 2
    """Samples per pixel and axis."""
    standing: float = 0.2
    """Share of relaxed standing poses; the others are motion capture."""
    upper_body: float = 0.3
    """Share of people framed from the hips up."""
    distance: tuple[float, float] = (5.0, 14.0)
    """Nearest and farthest camera [m]; inf for exactly weak perspective. Nearer ones move hands and feet farther from
    where the weak-perspective body has them than a fit would, which bends towards them."""
    recolour: float = 0.7
    """Share of garments that are recoloured."""
    pattern: float = 0.3
    """Share of garments with a pattern."""
    decal: float = 0.3
    """Share of people with a print on the chest or back."""
    similar_views: float = 0.4
    """Share of people whose views lie within 60 degrees of one another and whose poses are neighbours in one motion,
    like photos of one afternoon or frames of one video; the others are seen from all sides in any poses."""
    moving_background: float = 0.2
    """Share of people whose background shifts between the views, as under a moving camera."""
    degrade: float = 0.5
    """Share of people whose photos are blurred, noisy or coarsely coded; the pictures to be made are clean."""
    tones: float = 0.7
    """Share of people whose whole scene has another exposure, white balance, contrast and saturation, alike in all
    views."""
    shadows: bool = True
    """Cast shadows."""
    ground: float = 0.7
    """Share of people who throw some shade on the ground, which belongs to the background."""
    noise: BodyNoise = BodyNoise()
    """Errors of the conditioning bodies."""
    shared_noise: float = 0.7
    """Share of the variance of pose and camera errors that is the same in all views of a person. The fit errs alike in
    all photos of a person, which slides the flow between them less than each photo's error does."""

    def __post_init__(self) -> None:
        for name, least in (("num_identities", 0), ("supersample", 1)):
            if getattr(self, name) < least:
                raise SettingError(f"synthetic.{name}: expected at least {least}, got {getattr(self, name)}.")
        shares = ("standing", "upper_body", "recolour", "pattern", "decal", "similar_views", "moving_background")
        for name in (*shares, "degrade", "tones", "ground", "shared_noise"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingError(f"synthetic.{name}: expected a share in [0, 1], got {getattr(self, name)}.")
        if not 1.5 <= self.distance[0] <= self.distance[1]:
            raise SettingError(f"synthetic.distance: expected 1.5 <= nearest <= farthest, got {self.distance}.")


@dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    output: Path = Path("runs/train")
    """Folder for checkpoints, the log, contact sheets and the weights."""
    preset: Literal["lite", "base", "paper", "custom"] = "base"
    """Size of the generator; "custom" takes the settings under generator."""
    generator: GeneratorConfig = GeneratorConfig()
    """Shape of the generator for the preset "custom"."""
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    """Shape of the discriminators."""
    loss: LossConfig = LossConfig()
    """Weights of the losses."""
    minutes: float = 25.0
    """Stop after this time [min], counted over all resumed parts."""
    steps: int = 0
    """Stop after this many steps instead (0: only the time counts). A run by steps can be repeated exactly."""
    size: int = 256
    """Height and width of the training pictures [px], a multiple of 8."""
    people: int = 8
    """People per step."""
    num_sources: int = 2
    """Source views per person."""
    num_targets: int = 2
    """Target views per person."""
    reuse: int = 3
    """Steps per rendered batch; each chooses other views as sources."""
    learning_rate: float = 2e-4
    """Adam's, for both players; it falls to a fiftieth over the last 30 % of the run."""
    warmup_steps: int = 100
    """Steps over which the learning rate rises from 0."""
    adversarial_start: float = 0.5
    """Share of the run after which the discriminators begin."""
    clip_norm: float = 2.0
    """Largest norm of the generator's gradient."""
    ema_decay: float = 0.998
    """Decay of the averaged weights, which are the ones saved."""
    single_source_share: float = 0.2
    """Share of people for whom all sources but one are hidden."""
    temporal_share: float = 0.2
    """Share of the samples of rendered people in which each target's other targets, as the network draws them, are
    frames before: so temporal attention is learned."""
    seed: int = 0
    """Of weights, data and order."""
    device: str = "auto"
    """"auto", "cpu" or "cuda"."""
    mixed_precision: bool = True
    """bfloat16 on CUDA; positions stay in float32."""
    data: Literal["synthetic", "videos", "synthetic+videos", "boxes"] = "synthetic"
    """"synthetic" renders people; "videos" are your own; "synthetic+videos" mixes both; "boxes" moves coloured
    boxes, to try the loop out."""
    video_folder: Path | None = None
    """Folder that "liquidwarp prepare" made."""
    video_share: float = 0.3
    """Share of the batches of "synthetic+videos" that are filmed people."""
    video_gap: int = 8
    """Least distance between two frames of a video that are shown together [frames]."""
    fill_texture: bool = True
    """Give the network what texture warping draws, with made-up colours where no source sees the body, as the product
    does; otherwise the bare warp with its holes."""
    settle: bool = True
    """Let the disturbed bodies settle on the mattes, as a fit does: they fill the clothes."""
    halos: bool = True
    """Let halos made from each source carry hair and clothes, as in use; otherwise only the plain shell does."""
    half_size_share: float = 0.0
    """Share of the batches that are rendered at half of ``size``, so that one network serves both."""
    data_folder: Path | None = None
    """Folder that scripts/build_wardrobe.py made for the synthetic people."""
    synthetic: SyntheticConfig = SyntheticConfig()
    """What the synthetic people look like and how wrong their bodies are."""
    render_processes: int = 0
    """Processes that render people beside the training; 0: a thread on CUDA, on demand on a CPU."""
    init: Path | None = None
    """Weights to start from (a saved folder, with or without discriminators); ignored when the output folder holds a
    checkpoint."""
    keep_init: float = 0.0
    """With ``init``: share of the starting weights in the saved ones. Fine tuning forgets less so, and the mean of both
    is often better than either (Wortsman et al. 2022)."""
    reset_gate: bool = False
    """With ``init``: forget when to copy the texture and begin with copying it everywhere."""
    part_minutes: float = 0.0
    """Leave this part of the run with a checkpoint after this time [min], loading included; 0: never. The same
    command goes on; size and people may be others then."""
    save_every_minutes: float = 4.0
    """Time between checkpoints [min]."""
    log_every: int = 50
    """Steps between lines of the log."""
    eval_batches: int = 6
    """Batches of held-out people at the end."""
    tensorboard: bool = False
    """Write TensorBoard events too (needs the extra "train")."""

    def __post_init__(self) -> None:
        if self.size < 32 or self.size % 8:
            raise SettingError(f"train.size: expected a multiple of 8, at least 32, got {self.size}.")
        least = self.size // 2 if self.half_size_share > 0 else self.size
        if least % 8:
            raise SettingError(
                f"train.size: expected a multiple of 16 if some batches are half as large, got {self.size}."
            )
        views = {"global": least, "body": least // 2, "face": self.discriminator.face_size}
        smallest = min(views[crop] for crop in self.discriminator.crops)
        if smallest < 2 ** (self.discriminator.num_layers + 1):
            raise SettingError(
                f"train.size: a discriminator of {self.discriminator.num_layers} layers sees {smallest} px and needs "
                f"{2 ** (self.discriminator.num_layers + 1)}; train at a larger size or with fewer layers."
            )
        for name in ("people", "num_sources", "num_targets", "reuse", "log_every", "video_gap"):
            if getattr(self, name) < 1:
                raise SettingError(f"train.{name}: expected at least 1, got {getattr(self, name)}.")
        if self.steps == 0 and self.minutes <= 0:
            raise SettingError(f"train.minutes: expected more than 0 (or set steps), got {self.minutes}.")
        shares = ("adversarial_start", "single_source_share", "temporal_share", "half_size_share", "ema_decay")
        for name in (*shares, "video_share", "keep_init"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingError(f"train.{name}: expected a share in [0, 1], got {getattr(self, name)}.")

        if self.keep_init > 0 and self.init is None:
            raise SettingError("train.keep_init: there is nothing to keep; name the weights to start from with init.")

    def generator_config(self) -> GeneratorConfig:
        """The generator's settings that the preset stands for."""
        return self.generator if self.preset == "custom" else GeneratorConfig.preset(self.preset)
