"""Services over HTTP: connections, repetitions, signatures, credentials, and what they refuse.

Nothing here knows an operation; whoever calls gets answers, or one :class:`Failure`.
"""
