"""The configuration of `amiss watch`: every setting declared once, and the file it is read from."""

from amiss.watch.config._file import ConfigProblem, load_config, read_config
from amiss.watch.config._rules import Rule
from amiss.watch.config._schema import (
    AlarmConfig,
    AppriseConfig,
    CameraConfig,
    Config,
    HttpConfig,
    LogConfig,
    MqttConfig,
    RuleConfig,
    WebhookConfig,
    WorkersConfig,
)
from amiss.watch.config._thresholds import (
    OFF_SHARE,
    CameraCalibration,
    Thresholds,
    calibration_file,
    check_calibration,
    read_calibration,
    resolve_thresholds,
    write_calibration,
)
from amiss.watch.config._webhook_address import WebhookAddress, check_headers

__all__ = [
    "OFF_SHARE",
    "AlarmConfig",
    "AppriseConfig",
    "CameraCalibration",
    "CameraConfig",
    "Config",
    "ConfigProblem",
    "HttpConfig",
    "LogConfig",
    "MqttConfig",
    "Rule",
    "RuleConfig",
    "Thresholds",
    "WebhookAddress",
    "WebhookConfig",
    "WorkersConfig",
    "calibration_file",
    "check_calibration",
    "check_headers",
    "load_config",
    "read_calibration",
    "read_config",
    "resolve_thresholds",
    "write_calibration",
]
