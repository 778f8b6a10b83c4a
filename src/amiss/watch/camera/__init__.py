"""One camera from frames to events: the worker, its clips, the recorder, and who keeps the workers running."""

from amiss.watch.camera._cluster import CameraCluster, ClusterWorker
from amiss.watch.camera._counters import CameraCounters, Progress
from amiss.watch.camera._identity import DetectorIdentity
from amiss.watch.camera._models import ModelKey, Models, model_key
from amiss.watch.camera._pool import EnginePool
from amiss.watch.camera._recorder import Recorder, RecordingEnd, recover_clips
from amiss.watch.camera._restarts import ProcessLostError
from amiss.watch.camera._status import CameraStatus
from amiss.watch.camera._supervisor import Supervisor, Worker
from amiss.watch.camera._worker import CameraWorker, ClipScored

__all__ = [
    "CameraCluster",
    "CameraCounters",
    "CameraStatus",
    "CameraWorker",
    "ClipScored",
    "ClusterWorker",
    "DetectorIdentity",
    "EnginePool",
    "ModelKey",
    "Models",
    "ProcessLostError",
    "Progress",
    "Recorder",
    "RecordingEnd",
    "Supervisor",
    "Worker",
    "model_key",
    "recover_clips",
]
