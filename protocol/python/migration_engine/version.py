"""The version of the package and of the engine that it carries."""

__version__ = "0.1.0"
