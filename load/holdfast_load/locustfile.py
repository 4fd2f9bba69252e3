"""What Locust runs for ``holdfast load``."""

from holdfast_load.users import Load

__all__ = ["Load"]
