"""`layerscope doctor`: what is installed, what this machine can do, and whether the bundled networks work."""

from layerscope.cli.doctor.examination import examine

__all__ = ["examine"]
