"""What the service saw and did: the database, the spool before it, the outbox of alerts, and how long media stay."""
