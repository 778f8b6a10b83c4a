"""The recipes amiss ships: one per published method, with its source and where its defaults differ from it."""

from amiss.training._recipe import BatchSettings, OptimiserSettings, Recipe

_STEPS = "Stops early on held-out training videos (published: {}; --set steps={} --set selection.holdout=0). "
_LAST = _STEPS.format("20 000 steps, last weights", 20000)
_ON_TEST = "Stops early on held-out training videos (published: {} steps, the best by test AUC; --set steps={}). "
_POOLING = "Clips pooled by RTFM's rule, which leaves no clip out (published: --set pooling={}). "
_ADAGRAD = (
    "Adagrad instead of Adadelta, which needs all 40 000 steps at its published rate of 0.01 "
    "(--set optimiser.name=adadelta). "
)
_INPUT = "Features are brought to unit scale (published: --set normalise=none, for I3D features). "
_SMALLER = (
    "128 channels and 16 + 16 bags, for 2 cores (published: --set head_options.channels={} --set batch.normal={} "
    "--set batch.anomalous={}). "
)
_RTFM = "Tian et al.: Weakly-supervised Video Anomaly Detection with Robust Temporal Feature Magnitude Learning, ICCV 2021"
_SAA = "Fan, Yu, Lu, Han: Weakly-Supervised Video Anomaly Detection With Snippet Anomalous Attention, TCSVT 2024"
_BAMERI = "github.com/FatemeBameri/Pytorch-Weakly-Anomaly-Detection"
_BAGS = BatchSettings(normal=16, anomalous=16)

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
    Recipe(
        name="topk",
        source="github.com/Henryy-rs/top-k-Ranking-Loss: paired ranking of the k highest scores",
        differences=_LAST
        + _POOLING.format("ekosman")
        + "k = 3 (published: 1 to 8, by features; --set head_options.k=...). "
        + _ADAGRAD,
        head="topk",
        head_options={"k": 3},
        batch=BatchSettings(sampling="with-replacement"),
    ),
    Recipe(
        name="salient",
        source="Watanabe, Okabe, Harada, Kashima: Real-World Video Anomaly Detection by Extracting Salient Features, "
        "ICIP 2022",
        differences=_ON_TEST.format("2 490", 2490) + _INPUT,
        head="salient",
        head_options={"d_a": 64, "r": 3, "chunk": 28, "clip_scores": "chunk"},
        batch=BatchSettings(normal=32, anomalous=32),
        optimiser=OptimiserSettings(name="radam-seed002", lr=1e-3),
    ),
    Recipe(
        name="saa-ucf",
        source=_SAA,
        differences=_ON_TEST.format("60 000", 60000) + _INPUT,
        head="saa",
        head_options={"channels": 128},
        batch=_BAGS,
        optimiser=OptimiserSettings(name="adam", lr=1e-4, weight_decay=5e-5),
        steps=200,
    ),
    Recipe(
        name="saa-xd",
        source=_SAA,
        differences=_ON_TEST.format("60 000", 60000) + _INPUT,
        head="saa",
        head_options={"channels": 128},
        segments=100,
        batch=_BAGS,
        optimiser=OptimiserSettings(name="adam", lr=1e-4, weight_decay=5e-5),
        steps=200,
    ),
    Recipe(
        name="rtfm",
        source=_RTFM,
        differences=_ON_TEST.format("15 000", 15000) + _SMALLER.format(512, 32, 32) + _INPUT,
        head="rtfm",
        head_options={"channels": 128},
        batch=_BAGS,
        optimiser=OptimiserSettings(name="adam", lr=1e-3, weight_decay=5e-3),
        steps=200,
    ),
    *(
        Recipe(
            name=name,
            source=source,
            differences="",
            head="distribution",
            head_options={"variant": variant, "channels": 128},
            batch=_BAGS,
            optimiser=OptimiserSettings(name="adam", lr=1e-3, weight_decay=5e-4),
            steps=200,
        )
        for name, variant, source in (
            ("distribution", "fitted", _BAMERI),
            ("distribution-original-2023", "original-2023", _BAMERI),
            ("distribution-original-2024", "original-2024", _BAMERI),
        )
    ),
)
