"""The unattended service: cameras, recorder, store, alerts, retention."""
