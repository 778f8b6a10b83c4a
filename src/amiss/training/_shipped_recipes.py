"""The recipes amiss ships: one per published method, with its source and where its defaults differ from it."""

from amiss.training._recipe import BatchSettings, CalibrationSettings, OptimiserSettings, Recipe, SelectionSettings

_LAST = (
    "Stops early on held-out training videos (published: 20 000 steps, last weights; "
    "--set steps=20000 --set selection.holdout=0). "
)
_ON_TEST = (
    "Selected on held-out training videos, never on the test set (published: the best of {} steps by test AUC; "
    "--set steps={} --set selection.patience=null). "
)
_POOLING = "Clips pooled by RTFM's rule, which leaves no clip out (published: --set pooling={}). "
_ADAGRAD = (
    "Adagrad instead of Adadelta, which needs all 40 000 steps at its published rate of 0.01 "
    "(--set optimiser.name=adadelta). "
)
_INPUT = "Features are brought to unit scale (published: as they come; --set normalise=none). "
_CROPS = "All crops of a video are in a batch together (published: each is drawn by itself). "
_CHANNELS = "128 channels, for 2 cores (published: {}; --set head_options.channels={}). "
_BATCH = "16 + 16 bags (published: --set batch.normal={0} --set batch.anomalous={0}). "
_LONG = "32 segments, for 2 cores (published: --set segments=200). "
_LOCAL = (
    "Weights of the clips around a clip sum to 1 (its code scales them by columns: "
    "--set head_options.local_weights=column). "
)
_MANY_BAGS = BatchSettings(normal=32, anomalous=32)
_BAGS = BatchSettings(normal=16, anomalous=16)

_TOPK = Recipe(
    name="topk",
    source="github.com/Henryy-rs/top-k-Ranking-Loss: paired ranking of the k highest scores",
    differences=_LAST
    + _POOLING.format("ekosman")
    + "k = 3 (published: 1 to 8, by features; --set head_options.k=1). "
    + _ADAGRAD,
    head="topk",
    head_options={"k": 3},
    batch=BatchSettings(sampling="with-replacement"),
)

_POOLED = Recipe(
    name="pooled",
    source="logistic regression on mean, maximum and deviation of each video's clips, as video recognition compares "
    "with (Karpathy et al., CVPR 2014); fitted by scikit-learn",
    differences="A clip is scored with the window around it. Every training video is fitted on, none is held out: "
    "there is no step to select. For another penalty --set head_options.inverse_penalty=1.",
    head="pooled",
    pooling="none",
    steps=1,
    evaluate_every=1,
    selection=SelectionSettings(holdout=0),
    calibration=CalibrationSettings(rounds=3),
)

_AMISS = Recipe(
    name="amiss",
    source="our own: ridge regression, pseudo-labels by each video's own rank, how much changes around a clip, and the "
    "level of the video; each part where the training labels show that it helps",
    differences="Every training video is fitted on, none is held out: there is no step to select. Without a part: "
    "--set head_options.change=never; --set head_options.level=never; --set head_options.rounds=0.",
    head="amiss",
    pooling="none",
    steps=1,
    evaluate_every=1,
    selection=SelectionSettings(holdout=0),
    calibration=CalibrationSettings(rounds=3),
)

RECIPES = (
    Recipe(
        name="sultani2018",
        source="Sultani, Chen, Shah: Real-world Anomaly Detection in Surveillance Videos, CVPR 2018",
        differences=_LAST + _POOLING.format("matlab"),
        head="sultani",
        batch=BatchSettings(sampling="without-replacement"),
        optimiser=OptimiserSettings(name="adagrad", lr=0.01, eps=1e-8),
    ),
    Recipe(
        name="ekosman",
        source="github.com/ekosman/AnomalyDetectionCVPR2018-Pytorch: paired ranking of maxima",
        differences=_LAST + _POOLING.format("ekosman") + _ADAGRAD,
        head="topk",
        head_options={"k": 1},
        batch=BatchSettings(sampling="with-replacement"),
    ),
    _TOPK,
    Recipe(
        name="salient",
        source="Watanabe, Okabe, Harada, Kashima: Real-World Video Anomaly Detection by Extracting Salient Features, "
        "ICIP 2022",
        differences=_ON_TEST.format("2 490", 2490)
        + _INPUT
        + _CROPS
        + "A clip's score is its chunk's, as published; --set head_options.clip_scores=attention tells clips apart.",
        head="salient",
        head_options={"chunk": 28, "clip_scores": "chunk"},
        batch=_MANY_BAGS,
        optimiser=OptimiserSettings(name="radam-rectified-only", lr=1e-3),
    ),
    *(
        Recipe(
            name=name,
            source="Fan, Yu, Lu, Han: Weakly-Supervised Video Anomaly Detection With Snippet Anomalous Attention, "
            "TCSVT 2024; training as transcribed from the paper, its code was never published",
            differences=_ON_TEST.format("60 000", 60000)
            + _INPUT
            + _CROPS
            + _CHANNELS.format("a quarter of the feature dim", "null")
            + _BATCH.format(64)
            + more,
            head="saa",
            head_options={"channels": 128},
            segments=segments,
            batch=_BAGS,
            optimiser=OptimiserSettings(name="adam", lr=1e-4, weight_decay=5e-5),
            steps=200,
            evaluate_every=10,
        )
        for name, segments, more in (
            ("saa-ucf", 32, "32 segments, for 2 cores (published for UCF-Crime: --set segments=320)."),
            ("saa-xd", 100, "For XD-Violence, RGB or RGB and audio joined."),
        )
    ),
    Recipe(
        name="rtfm",
        source="Tian et al.: Weakly-supervised Video Anomaly Detection with Robust Temporal Feature Magnitude "
        "Learning, ICCV 2021",
        differences=_ON_TEST.format("15 000", 15000) + _INPUT + _CHANNELS.format(512, 512) + _BATCH.format(32),
        head="rtfm",
        head_options={"channels": 128},
        batch=_BAGS,
        optimiser=OptimiserSettings(name="adam", lr=1e-3, weight_decay=5e-3),
        steps=200,
        evaluate_every=10,
    ),
    *(
        Recipe(
            name=name,
            source="Pu, Wu, Yang, Wang: Learning Prompt-Enhanced Context Features for Weakly-Supervised Video Anomaly "
            "Detection, TIP 2024, without its prompts" + more,
            differences=_ON_TEST.format("650", 650)
            + _INPUT
            + _CROPS
            + _CHANNELS.format("half of the feature dim", "null")
            + _BATCH.format(64)
            + _LONG
            + ending,
            head="tca",
            head_options={"channels": 128, **options},
            batch=_BAGS,
            optimiser=OptimiserSettings(name="adam", lr=5e-4, schedule="cosine"),
            steps=200,
            evaluate_every=10,
        )
        for name, more, ending, options in (
            (
                "tca",
                "",
                "What is attended to has length 1 over features (its code: over time, "
                "--set head_options.normalise=time).",
                {},
            ),
            (
                "tca-causal",
                "; no clip attends to later ones",
                "For live use: the attention looks 24 clips back (published: at the whole video, "
                "--set head_options.causal=false).",
                {"causal": True},
            ),
        )
    ),
    Recipe(
        name="lgt",
        source="Wu, Zhou, Pang, Zhou, Yan, Wang, Zhang: VadCLIP: Adapting Vision-Language Models for Weakly Supervised "
        "Video Anomaly Detection, AAAI 2024, its visual branch",
        differences=_ON_TEST.format("1 250", 1250)
        + _INPUT
        + _CROPS
        + _CHANNELS.format(512, 512)
        + _BATCH.format(64)
        + "Rate of 1e-4 (published: 2e-5, for 512 channels; --set optimiser.lr=2e-5). "
        + "32 segments, for 2 cores (published: --set segments=256). Zero rows at the end of a chunk aren't seen (its "
        "code: all but one graph take them for clips, --set head_options.padding=seen).",
        head="lgt",
        head_options={"channels": 128},
        batch=_BAGS,
        optimiser=OptimiserSettings(name="adamw", lr=1e-4, weight_decay=0.01, schedule="stepwise"),
        steps=200,
        evaluate_every=10,
    ),
    Recipe(
        name="ur-dmu",
        source="Zhou, Yu, Yang: Dual Memory Units with Uncertainty Regulation for Weakly Supervised Video Anomaly "
        "Detection, AAAI 2023",
        differences=_ON_TEST.format("3 000", 3000)
        + _INPUT
        + _CROPS
        + _CHANNELS.format(512, 512)
        + _BATCH.format(64)
        + _LONG
        + _LOCAL
        + "The divergence of normal latent vectors is a mean over clips (its code: a sum, "
        "--set head_options.kl_over=clips).",
        head="ur-dmu",
        head_options={"channels": 128},
        batch=_BAGS,
        optimiser=OptimiserSettings(name="adam", lr=1e-4, weight_decay=5e-5),
        steps=200,
        evaluate_every=10,
    ),
    Recipe(
        name="bn-wvad",
        source="Zhou, Qu, Xu, Shen: BatchNorm-based Weakly Supervised Video Anomaly Detection, TCSVT 2024",
        differences=_ON_TEST.format("1 000", 1000)
        + _INPUT
        + _CROPS
        + _CHANNELS.format(512, 512)
        + _BATCH.format(64)
        + _LONG
        + _LOCAL,
        head="bn-wvad",
        head_options={"channels": 128},
        batch=_BAGS,
        optimiser=OptimiserSettings(name="adam", lr=1e-4, weight_decay=5e-5, largest_gradient=1.0),
        steps=200,
        evaluate_every=10,
    ),
    *(
        Recipe(
            name=name,
            source=f"github.com/FatemeBameri/Pytorch-Weakly-Anomaly-Detection{state}",
            differences=more + _ON_TEST.format("50", 50) + _INPUT + _CHANNELS.format(512, 512) + _BATCH.format(4),
            head="distribution",
            head_options={"variant": variant, "channels": 128},
            batch=_BAGS,
            optimiser=OptimiserSettings(name="adam", lr=1e-3, weight_decay=5e-4),
            steps=200,
            evaluate_every=10,
        )
        for name, variant, state, more in (
            (
                "distribution",
                "fitted",
                ": the sound form of its idea",
                "Densities are fitted to the data, have a gradient, and score (published: constants without a "
                "gradient, see distribution-original-2023 and -2024). ",
            ),
            (
                "distribution-original-2023",
                "original-2023",
                ", November 2023, bugs included",
                "Works at every feature dim (published: only 1024). ",
            ),
            (
                "distribution-original-2024",
                "original-2024",
                ", January 2024, bugs included",
                "Works at every feature dim (published: at none). ",
            ),
        )
    ),
    _AMISS,
    _AMISS.model_copy(
        update={
            "name": "amiss-causal",
            "source": f"{_AMISS.source}; for live scores, from what came up to a clip",
            "head_options": {"causal": True},
        }
    ),
    _POOLED,
    _POOLED.model_copy(
        update={
            "name": "auto",
            "source": "our own: pooled, or topk where its scores of left-out training videos are clearly better",
            "differences": "Trains pooled and topk and takes the better one by cross-fitting; the test set has no part "
            "in it. To train one without choosing: --set alternatives=[]",
            "alternatives": (_TOPK,),
        }
    ),
)
