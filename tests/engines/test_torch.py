import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from amiss.backbones import Backbone, FeatureSpec, create_backbone
from amiss.engines import TorchEngine, bfloat16_arithmetic, create_engine
from amiss.errors import Notice, UsageError

CLIPS = [np.random.RandomState(i).randint(0, 256, (16, 48, 64, 3)).astype(np.uint8) for i in range(3)]


@pytest.fixture(scope="module", params=["motion", "squeezenet1_1", "motion+squeezenet1_1"])
def backbone(request):
    return create_backbone(request.param, "none" if request.param == "motion" else "random")


def test_engine_gives_what_the_backbone_gives(backbone):
    engine = create_engine(backbone, "cpu", engine="torch", precision="fp32")
    features = engine.encode(CLIPS)
    assert engine.description == "torch cpu fp32"
    assert engine.spec == backbone.spec
    assert features.dtype == np.float32
    assert features.shape == (3, 1, backbone.spec.dim)
    for row, clip in zip(features, CLIPS, strict=True):
        assert np.array_equal(row, backbone.encode(clip).numpy())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_clip_does_not_depend_on_its_neighbours(backbone, precision):
    if precision == "bf16" and bfloat16_arithmetic() is None:
        pytest.skip("this processor has no bfloat16 arithmetic")
    engine = create_engine(backbone, "cpu", engine="torch", precision=precision)
    alone = [engine.encode([clip])[0] for clip in CLIPS]
    assert np.array_equal(engine.encode(CLIPS[::-1]), np.stack(alone[::-1]))


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_crops_are_kept_apart(name):
    if name == "openvino":
        pytest.importorskip("openvino")
    engine = create_engine(create_backbone("squeezenet1_1", "random", crops=10), "cpu", engine=name)
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
        create_engine(create_backbone("squeezenet1_1", "random"), device, engine="torch")


class Small(Backbone):
    """As a network on a device with memory for two clips."""

    spec = FeatureSpec(backbone="small", weights="none", dim=2)

    def preprocess(self, frames):
        return torch.from_numpy(frames).permute(3, 0, 1, 2).float()[None]

    def forward(self, clips):
        if len(clips) > 2:
            raise torch.OutOfMemoryError("no memory")
        return clips.mean((2, 3, 4))[:, :2] + len(clips)  # differs with the batch, as kernels do


def test_batches_are_filled_up_and_halved_where_memory_is_short():
    engine = TorchEngine(Small(), "cpu")
    engine.batch = 8
    assert engine.description == "torch cpu fp32"
    with pytest.warns(UserWarning, match="cpu has no memory for 8 clips at once: from now on it takes fewer") as said:
        features = engine.encode(CLIPS)
    assert len(said) == 1
    assert engine.batch == 2  # for good
    assert engine.description == "torch cpu fp32 batch 2"
    assert np.array_equal(engine.encode(CLIPS), features)
    expected = np.stack([clip.mean((0, 1, 2))[:2] + 2 for clip in CLIPS])[:, None]
    np.testing.assert_allclose(features, expected, rtol=1e-5)
    engine.batch = 1
    Small.forward, forward = lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("no memory")), Small.forward
    try:
        said = "cpu has no memory for one clip of small .crops 1, fp32.: take fewer crops, precision bf16, .*device cpu"
        with pytest.raises(UsageError, match=said):
            engine.encode(CLIPS)
    finally:
        Small.forward = forward


def test_where_few_clips_come_at_once_batches_are_not_filled_up_for_more():
    engine = TorchEngine(Small(), "cpu")
    engine.batch = 64
    engine.limit_batch(2)
    rows = engine.encode(CLIPS)
    np.testing.assert_allclose(rows[:, 0], np.stack([clip.mean((0, 1, 2))[:2] + 2 for clip in CLIPS]), rtol=1e-5)
    engine.limit_batch(8)
    assert engine.batch == 2
    fused = create_engine(create_backbone("motion+squeezenet1_1", "random"), "cpu")
    fused.limit_batch(1)
    assert fused.batch == 1


class Convolution(Small):
    """One layer, and no bound."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv3d(3, 2, 3)

    def forward(self, clips):
        return self.layer(clips / 255).relu().mean((2, 3, 4))


@pytest.mark.slow  # its C++ compiler takes 10 s of processor time
def test_a_compiled_network_gives_the_same_and_its_warm_up_is_told():
    plain, compiled = (TorchEngine(Convolution().eval(), "cpu", is_compiled=yes) for yes in (False, True))
    assert compiled.description == "torch cpu fp32 compiled"
    with pytest.warns(Notice) as told:
        features = compiled.encode(CLIPS)
    said = "small is compiled for 1 x 16 frames of 64x48: this takes", "small was compiled in "
    assert [str(warning.message).startswith(text) for warning, text in zip(told, said, strict=True)] == [True, True]
    np.testing.assert_allclose(features, plain.encode(CLIPS), rtol=1e-4)
    with warnings.catch_warnings(action="error"):
        assert np.array_equal(compiled.encode(CLIPS), features)


def test_what_cannot_be_compiled_is_told(monkeypatch):
    def compiled(network, **_):
        def run(clips):
            raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found\nmore")

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    engine = TorchEngine(Convolution().eval(), "cpu", is_compiled=True)
    said = r"torch can't compile small here \(InvalidCxxCompiler: No working.*\): leave out --compile"
    with pytest.raises(UsageError, match=said):
        engine.encode(CLIPS)


@pytest.mark.parametrize("how", [{"engine": "openvino"}, {"precision": "int8"}])
def test_compile_is_for_torch(how):
    with pytest.raises(UsageError, match=r"--compile \(workers.compile\) is for engine torch"):
        create_engine(create_backbone("squeezenet1_1", "random"), "cpu", compiled=True, **how)
    with pytest.warns(UserWarning, match="--compile changes nothing: motion is a formula"):
        assert create_engine(create_backbone("motion"), "cpu", compiled=True).description == "torch cpu fp32"


KINDS = ("motion+r3d_18", "s3d", "swin3d_t", "mvit_v2_s", "i3d", "i3d_resnet50", "c3d", "mfnet", "resnet3d_18")
KINDS += ("densenet3d_121", "squeezenet1_1")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["auto", "fp32", "fp16"])
@pytest.mark.parametrize("name", KINDS)
def test_cuda_agrees_with_the_cpu(name, precision):
    cpu = create_engine(create_backbone(name, "random"), "cpu", engine="torch", precision="fp32").encode(CLIPS)
    cuda = create_engine(create_backbone(name, "random"), "cuda", precision=precision).encode(CLIPS)
    cosine = (cpu * cuda).sum(-1) / np.linalg.norm(cpu, axis=-1) / np.linalg.norm(cuda, axis=-1)
    assert cosine.min() > 0.999


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_many_threads_prepare_at_once_on_cuda():
    """Each in its own stream, and no clip gets another's pixels."""
    engine = create_engine(create_backbone("r3d_18", "random"), "cuda")
    alone = [engine.prepare(clip)[0].cpu() for clip in CLIPS]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda i: engine.prepare(CLIPS[i % 3])[0].cpu(), range(60)))
    assert all(torch.equal(found, alone[i % 3]) for i, found in enumerate(together))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ["r3d_18", "s3d", "swin3d_t"])
def test_compiled_on_cuda_agrees_with_the_cpu(name):
    cpu = create_engine(create_backbone(name, "random"), "cpu", engine="torch", precision="fp32").encode(CLIPS)
    engine = create_engine(create_backbone(name, "random"), "cuda", compiled=True)
    cuda = engine.encode(CLIPS)
    cosine = (cpu * cuda).sum(-1) / np.linalg.norm(cpu, axis=-1) / np.linalg.norm(cuda, axis=-1)
    assert cosine.min() > 0.999
    assert np.array_equal(engine.encode(CLIPS), cuda)
