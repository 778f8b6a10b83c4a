"""One camera from frames to events: the worker, its clips, the recorder, and who keeps the workers running."""
