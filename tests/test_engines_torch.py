import numpy as np
import pytest
import torch

from amiss.backbones import create_backbone
from amiss.engines import TorchEngine, create_engine
from amiss.errors import UsageError

CLIPS = [np.random.RandomState(i).randint(0, 256, (16, 48, 64, 3)).astype(np.uint8) for i in range(3)]


@pytest.fixture(scope="module", params=["motion", "squeezenet1_1", "motion+squeezenet1_1"])
def backbone(request):
    return create_backbone(request.param, "none" if request.param == "motion" else "random")


def test_engine_gives_what_the_backbone_gives(backbone):
    engine = create_engine(backbone, "cpu")
    features = engine.encode(CLIPS)
    assert isinstance(engine, TorchEngine)
    assert engine.spec == backbone.spec
    assert features.dtype == np.float32
    assert features.shape == (3, 1, backbone.spec.dim)
    for row, clip in zip(features, CLIPS, strict=True):
        assert np.array_equal(row, backbone.encode(clip).numpy())


def test_a_clip_does_not_depend_on_its_neighbours(backbone):
    engine = create_engine(backbone, "cpu")
    alone = [engine.encode([clip])[0] for clip in CLIPS]
    assert np.array_equal(engine.encode(CLIPS[::-1]), np.stack(alone[::-1]))


def test_crops_are_kept_apart():
    engine = create_engine(create_backbone("squeezenet1_1", "random", crops=10), "cpu")
    features = engine.encode(CLIPS[:1])
    assert features.shape == (1, 10, 1024)
    mirrored = engine.encode([CLIPS[0][:, :, ::-1]])
    np.testing.assert_allclose(mirrored[:, :5], features[:, 5:], rtol=1e-2, atol=1e-3)


def test_no_clips_give_no_rows(backbone):
    assert create_engine(backbone, "cpu").encode([]).shape == (0, 1, backbone.spec.dim)


def test_threads_are_set():
    threads = torch.get_num_threads()
    try:
        create_engine(create_backbone("motion"), "cpu", threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    with pytest.raises(UsageError, match="threads is 0"):
        create_engine(create_backbone("motion"), "cpu", threads=0)


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(UsageError, match=f"device '{device}' can't be used"):
        create_engine(create_backbone("squeezenet1_1", "random"), device)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_the_cpu():
    names = "motion+r3d_18"
    cpu = create_engine(create_backbone(names, "random"), "cpu").encode(CLIPS)
    cuda = create_engine(create_backbone(names, "random"), "auto").encode(CLIPS)
    np.testing.assert_allclose(cuda, cpu, rtol=1e-2, atol=1e-3)
