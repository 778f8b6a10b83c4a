"""Who is told of events, and how: channels and the dispatcher."""
