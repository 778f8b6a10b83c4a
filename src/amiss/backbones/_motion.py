"""stub"""
ENTRIES = ()
