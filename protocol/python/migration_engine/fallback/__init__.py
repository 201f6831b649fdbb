"""The protocol's second server, in the standard library alone."""
