"""Health, metrics, live pictures and event pages over HTTP."""
