"""The configuration of `amiss watch`: every setting declared once, and the file it is read from."""

from amiss.watch.config._camera import CameraDefaults, CameraSettings, CameraSourceSettings, RecordSettings
from amiss.watch.config._channels import (
    CHANNEL_KINDS,
    EXPIRE_S,
    LONGEST_SEND_S,
    SEND_S,
    AppriseSettings,
    ChannelSettings,
    LogSettings,
    MqttSettings,
    WebhookSettings,
)
from amiss.watch.config._cluster import ClusterSettings
from amiss.watch.config._config import (
    Config,
    HttpSettings,
    RetentionSettings,
    SearchSettings,
    TeachSettings,
    WorkerSettings,
)
from amiss.watch.config._file import ConfigProblem, load_config, read_config
from amiss.watch.config._rules import Rule
from amiss.watch.config._thresholds import (
    CameraCalibration,
    calibration_file,
    check_calibration,
    read_calibration,
    resolve_thresholds,
    write_calibration,
)
from amiss.watch.config._webhook_address import WebhookAddress, embedded_v4

__all__ = [
    "CHANNEL_KINDS",
    "EXPIRE_S",
    "LONGEST_SEND_S",
    "SEND_S",
    "AppriseSettings",
    "CameraCalibration",
    "CameraDefaults",
    "CameraSettings",
    "CameraSourceSettings",
    "ChannelSettings",
    "ClusterSettings",
    "Config",
    "ConfigProblem",
    "HttpSettings",
    "LogSettings",
    "MqttSettings",
    "RecordSettings",
    "RetentionSettings",
    "Rule",
    "SearchSettings",
    "TeachSettings",
    "WebhookAddress",
    "WebhookSettings",
    "WorkerSettings",
    "calibration_file",
    "check_calibration",
    "embedded_v4",
    "load_config",
    "read_calibration",
    "read_config",
    "resolve_thresholds",
    "write_calibration",
]
