"""Recipe: head, loss and training settings as typed, documented fields."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from amiss.features import PoolingRule
from amiss.settings import Gate, Settings, SmoothingForm

_FORMER_NAMES = {"radam-seed002": "radam-rectified-only"}  # of optimisers, in recipes of older runs

NormaliseChoice = Literal["auto", "none", "l2", "standard", "l2+standard"]


class OptimiserSettings(Settings):
    """How weights are moved."""

    name: Annotated[
        Literal["adagrad", "adadelta", "adam", "adamw", "radam", "radam-rectified-only"],
        BeforeValidator(lambda name: _FORMER_NAMES.get(name, name) if isinstance(name, str) else name),
    ] = "adagrad"
    """Class of torch.optim. `radam-rectified-only` stands still in the first steps, until it can rectify the variance;
    torch's takes momentum steps there."""
    lr: Annotated[float, Field(gt=0)] = 0.01
    """Learning rate."""
    eps: Annotated[float, Field(gt=0)] = 1e-8
    """Term that keeps the division finite."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """As the optimiser defines it; beside the penalty that a head's loss may have."""
    schedule: Literal["constant", "cosine", "stepwise"] = "constant"
    """How the rate falls over `steps`: `cosine`, to 7 % of it at the last step, or `stepwise`, to a tenth after 40 % of
    the steps and to a hundredth after 80 %."""
    largest_gradient: Annotated[float | None, Field(gt=0)] = None
    """Gradients are scaled down to this norm, over all weights together, where theirs is larger; None = as they are."""


class BatchSettings(Settings):
    """What a training step sees: normal bags first, then anomalous ones."""

    normal: Annotated[int, Field(ge=1)] = 30
    """Normal bags per step."""
    anomalous: Annotated[int, Field(ge=1)] = 30
    """Anomalous bags per step."""
    sampling: Literal["epochs", "without-replacement", "with-replacement"] = "epochs"
    """`epochs`: every video of a class once before any comes again. The others draw each batch afresh; without
    replacement a video stands twice in a batch only where its class has fewer videos than the batch takes."""


class SelectionSettings(Settings):
    """Which step's weights become the `selected` detector. The test set has no part in it."""

    holdout: Annotated[float, Field(ge=0, le=0.5)] = 0.15
    """Share of training videos held out, per label, groups kept whole; 0 = none. A `val` split in the manifest is used
    instead."""
    min_videos: Annotated[int, Field(ge=2)] = 5
    """Least held-out videos per label. Where that would be more than a quarter of a label's videos nothing is held out,
    training runs for `fallback_steps`, and selected = last."""
    fallback_steps: Annotated[int, Field(ge=1)] = 100
    """Most training steps, also of a teacher (`teaching`), where too few videos are there to hold any out: a batch then
    has each several times."""
    by: Literal["clips", "spread", "glances"] = "clips"
    """What held-out videos are asked. `clips`: ROC-AUC over clips with the label of their video. `spread`: ROC-AUC over
    videos, by the standard deviation of a video's scores; it sees localisation better. `glances`: how high clicked
    clips rank in their video; it needs clicks (`--glances`), which are more than video labels."""
    smoothing: Annotated[int, Field(ge=1)] = 3
    """That is averaged over this many evaluations."""
    min_gain: Annotated[float, Field(ge=0)] = 0.005
    """A rise in it below this is no gain (its standard error on 100 videos is several times as large)."""
    patience: Annotated[int | None, Field(ge=1)] = 6
    """Evaluations without gain until training stops; None = train for `steps`."""


class GlanceLossSettings(Settings):
    """The one-click loss, beside the head's own: needs clicks (`--glances`)."""

    weight: Annotated[float, Field(ge=0)] = 0.0
    """Of the loss; 0 = clicks are not trained on."""
    sigma: Annotated[float, Field(gt=0)] = 0.1
    """Width of the Gaussian around a click, where the video reaches from -1 to 1."""
    grow_after: Annotated[int | None, Field(ge=0)] = 50
    """Training steps after which clicks spread to neighbours that score nearly as high; None = never."""
    grow_while: Annotated[float, Field(gt=0, le=1)] = 0.9
    """They spread while the score is at least this share of the clicked clip's."""


class TeachingSettings(Settings):
    """A plug-in: clips are taught what heads that weren't trained on their videos score them, beside the head's own
    loss. With `rounds` alone a head teaches itself; with `teacher` alone it learns another's scores, as a causal
    student does; with both the teacher's ranks come first. Takes some four times the training per turn."""

    rounds: Annotated[int, Field(ge=0)] = 0
    """Rounds of pseudo-labels: in each anomalous video the half of the clips that ranks highest is anomalous, the other
    half normal (all are anomalous where none ranks above another); ranked by the round before, at first by the head as
    it is without. 0 = none. The head that ranks a video wasn't trained on it; from the second round on what taught that
    head comes from heads that were."""
    teacher: "Recipe | None" = None
    """Recipe, by name or whole, whose scores are learned (0 in normal videos); one that sees the whole video may teach
    one that looks back alone."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Of this loss, the cross-entropy over clips, in which what is anomalous and what is normal weigh alike."""

    @property
    def turns(self) -> int:
        """How often all training videos are scored to teach them."""
        return self.rounds + (self.teacher is not None)


class ScoringSettings(Settings):
    """Plug-ins of the trained detector: what a score is made of beside the head's. Nothing is trained for them."""

    change: Gate = "never"
    """Whether it counts how much changes around a clip; `auto`: if that agrees with the head's scores inside anomalous
    videos, and less inside normal ones, by 3 standard errors; never with fewer than 20 videos of a label."""
    change_reach: Annotated[int, Field(ge=1)] = 3
    """Clips on each side that the change is measured over; causal: one, before it."""
    level: Gate = "never"
    """Whether the level of the whole video counts; `auto`: if it tells videos apart better than single clips do, by 3
    standard errors; never with fewer than 20 videos of a label. Live it is the level of the window."""
    smoothing: Annotated[int, Field(ge=1)] = 1
    """Clips that a score is the mean of; measured results stand beside those without."""
    smoothing_form: SmoothingForm = "around"
    """Which clips these are: `around` it; it and those `ahead` of it (PEL4VAD on UCF-Crime, 7 clips); or `blocks` that
    share their mean (on XD-Violence, 8 clips). The last two are for whole videos alone; behind the end they see 0."""
    causal: bool = False
    """Whether a score depends on earlier clips alone, for live scores as offline; with a head of which that is true.
    There is no level then."""

    @model_validator(mode="after")
    def _looks_back_alone(self) -> Self:
        if self.causal and self.level != "never":
            raise ValueError(f"level is {self.level!r} and causal is true; the level of a video needs all of it")
        if self.causal and self.smoothing_form != "around":
            raise ValueError(f"smoothing_form is {self.smoothing_form!r}, which looks ahead, and causal is true")
        if self.smoothing == 1 and self.smoothing_form != "around":
            raise ValueError(
                f"smoothing_form is {self.smoothing_form!r} and smoothing is 1; say how many clips it is of"
            )
        return self


PLUGINS = {
    "glance_loss.weight=1": "trains with clicked frames, too (--glances FILE)",
    "teaching.rounds=1": "rounds of pseudo-labels, by each video's own rank (heads that are trained by steps)",
    "teaching.teacher=RECIPE": "learns what another recipe's head scores: an offline one teaches a causal student, say",
    "scoring.change=auto": "a score counts how much changes around its clip, if training labels show that it helps",
    "scoring.level=auto": "it counts the level of the whole video, if they do; offline",
    "scoring.smoothing=N": "it is the mean of N clips; `amiss evaluate` also measures it without; of which clips: "
    "scoring.smoothing_form (around, ahead, blocks)",
    "scoring.causal=true": "change and smoothing look back alone, for live scores as offline (heads that do so, too)",
}
"""What can be added to any recipe → what it does."""


class CalibrationSettings(Settings):
    """How scores get their meaning and their threshold: from scores of training videos by heads not trained on them."""

    folds: Annotated[int, Field(ge=0)] = 5
    """Parts of the training videos, groups kept whole: each is scored by a head trained on the others, for as many
    steps as the selected one. Below 2 there is no cross-fitting: the held-out videos alone are used."""
    rounds: Annotated[int, Field(ge=1)] = 1
    """How often that is done, each time with other folds; a video's score is the mean."""
    enough_held_out: Annotated[int, Field(ge=2)] = 40
    """Held-out videos of each label from which on they alone are used, and nothing is trained again."""
    false_alarms: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of normal videos whose score the default threshold goes by, where there are many; see
    `amiss.detection.calibrate`."""


class Recipe(Settings):
    """Everything that decides a training run but data and seed."""

    name: str
    """Name of the recipe."""
    source: str
    """Paper or repository it follows."""
    differences: str = ""
    """Where it differs from its source, and how to undo that."""
    head: str
    """Registry name of the head."""
    head_options: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the head."""
    fusion: Literal["auto", "late", "joined"] = "auto"
    """What fused features are to the head. `joined`: one vector. `late`: each part has a head of its own, and their
    logits are averaged (head `late-fusion`). `auto`: late for heads that are fitted at once (`pooled`, `amiss`)."""
    class_vectors: str | None = None
    """npz file of a vector per class, by name, `normal` among them, for heads with the option `classes`: of CLIP's text
    encoder, say. None = they are learned."""
    pooling: PoolingRule = "rtfm"
    """How the clips of a training video become segments; `none` = clips as they are. Features that are segments already
    stay as they are."""
    segments: Annotated[int, Field(ge=1)] = 32
    """Segments per training video. Test videos are scored clip by clip."""
    normalise: NormaliseChoice = "auto"
    """What the head's input goes through. `auto`: `l2` for segments and unit-length pooling, `standard` (z-score per
    dimension, fitted on training clips) for clips."""
    batch: BatchSettings = BatchSettings()
    """Batches."""
    optimiser: OptimiserSettings = OptimiserSettings()
    """Optimiser."""
    steps: Annotated[int, Field(ge=1)] = 400
    """Most training steps (one batch each)."""
    evaluate_every: Annotated[int, Field(ge=1)] = 20
    """Steps between evaluations on held-out videos."""
    selection: SelectionSettings = SelectionSettings()
    """Model selection and early stopping."""
    calibration: CalibrationSettings = CalibrationSettings()
    """Map of scores and threshold."""
    glance_loss: GlanceLossSettings = GlanceLossSettings()
    """Training with clicks."""
    teaching: TeachingSettings = Field(default_factory=lambda: TeachingSettings())
    """Training with scores of other heads."""
    scoring: ScoringSettings = ScoringSettings()
    """What scores are made of beside the head's."""
    alternatives: tuple["Recipe", ...] = ()
    """Recipes, by name or whole, that are trained as well; the one whose video AUC is best out of fold is taken. A
    field that is set reaches them, too, but for `head`, `class_vectors` and the names; an option of heads reaches those
    whose head has it."""

    @property
    def is_taught(self) -> bool:
        """Whether clips are taught by heads that weren't trained on their videos."""
        return self.teaching.turns > 0


TeachingSettings.model_rebuild()
Recipe.model_rebuild()
