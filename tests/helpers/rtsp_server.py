"""A real RTSP server (GStreamer's) that plays H.264 MP4 files in an endless loop. Run by the system's python3.

    /usr/bin/python3 helpers/rtsp_server.py PORT name=file.mp4 … [--user NAME:PASSWORD]

Serves rtsp://127.0.0.1:PORT/name and prints `ready`. Needs gir1.2-gst-rtsp-server-1.0, python3-gi and
gstreamer1.0-plugins-{base,good,bad}. The files' packets are read once and given out again and again, with time stamps
that go on, as a camera's do. Imports nothing of amiss.
"""

import argparse

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstApp, GstRtspServer  # noqa: E402

del GstApp  # only its methods are needed


def read_packets(path: str) -> tuple[list[tuple[bytes, int, int, int, bool]], int]:
    """All access units of a file: (data, pts, dts, duration, is_keyframe), and the length of a loop, in nanoseconds."""
    pipeline = Gst.parse_launch(
        "filesrc name=file ! qtdemux ! h264parse config-interval=-1 ! "
        "video/x-h264,stream-format=byte-stream,alignment=au ! appsink name=sink sync=false"
    )
    pipeline.get_by_name("file").set_property("location", path)
    sink = pipeline.get_by_name("sink")
    pipeline.set_state(Gst.State.PLAYING)
    packets = []
    while (sample := sink.emit("pull-sample")) is not None:
        buffer = sample.get_buffer()
        data = buffer.extract_dup(0, buffer.get_size())
        keyframe = not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT)
        dts = buffer.dts if buffer.dts != Gst.CLOCK_TIME_NONE else buffer.pts
        packets.append((data, buffer.pts, dts, buffer.duration, keyframe))
    pipeline.set_state(Gst.State.NULL)
    if not packets:
        raise SystemExit(f"{path}: no H.264 in an MP4")
    first = packets[0][2]
    step = (packets[-1][2] - first) // max(len(packets) - 1, 1)
    return [(d, p - first, t - first, n, k) for d, p, t, n, k in packets], packets[-1][2] - first + step


class LoopFactory(GstRtspServer.RTSPMediaFactory):
    """Plays packets for ever; all clients see the same."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.packets, self.length = read_packets(path)
        self.set_launch(
            "( appsrc name=source is-live=true block=false format=time max-bytes=2000000 "
            "caps=video/x-h264,stream-format=byte-stream,alignment=au ! h264parse ! "
            "rtph264pay name=pay0 pt=96 config-interval=1 )"
        )
        self.set_shared(True)
        self.connect("media-configure", self.configure)

    def configure(self, factory: object, media: object) -> None:
        source = media.get_element().get_child_by_name("source")
        state = [0]  # packets given so far
        source.connect("need-data", self.feed, state)

    def feed(self, source: object, length: int, state: list[int]) -> None:
        data, pts, dts, duration, keyframe = self.packets[state[0] % len(self.packets)]
        offset = state[0] // len(self.packets) * self.length
        buffer = Gst.Buffer.new_wrapped(data)
        buffer.pts, buffer.dts, buffer.duration = pts + offset, dts + offset, duration
        if not keyframe:
            buffer.set_flags(Gst.BufferFlags.DELTA_UNIT)
        state[0] += 1
        source.emit("push-buffer", buffer)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--user")
    arguments = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(arguments.port)
    if arguments.user:
        name, _, password = arguments.user.partition(":")
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", name)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(name, password), token)
        server.set_auth(auth)
    for given in arguments.files:
        name, _, path = given.partition("=")
        factory = LoopFactory(path)
        if arguments.user:
            permissions = GstRtspServer.RTSPPermissions()
            role = arguments.user.partition(":")[0]
            permissions.add_permission_for_role(role, "media.factory.access", True)
            permissions.add_permission_for_role(role, "media.factory.construct", True)
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory(f"/{name}", factory)
    if not server.attach(None):
        raise SystemExit(f"port {arguments.port} is taken")
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
