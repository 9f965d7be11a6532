"""storyboard: a manifest of shots in, a finished multi-shot video ad out."""

__version__ = "0.1.0"
