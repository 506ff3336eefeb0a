"""The errors of this package: one base, one class for each thing a caller may want to tell apart.

Every message says what was found, what is allowed, and what to do next.
"""


class DepthProError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigurationError(DepthProError):
    """A setting (network size, device, precision, parameter) that cannot be honoured."""


class CheckpointError(DepthProError):
    """Weights that are missing, damaged, of another layout or of another preset."""


class ImageError(DepthProError):
    """An image, or an image message, that cannot be read."""


class CalibrationError(DepthProError):
    """Intrinsics or a distortion model that cannot be used with the image at hand."""


class SourceError(DepthProError):
    """A folder, video, bag or device that yields no images."""


class InferenceError(DepthProError):
    """The network could not answer for this frame; the next frame may work."""


class OutputError(DepthProError):
    """A result that could not be written."""


class AlignmentError(DepthProError):
    """Metric cues that do not fix the scale of a depth map: too few, too clustered, too inconsistent."""


class TrackingError(DepthProError):
    """A camera's motion that cannot be told from its images."""
