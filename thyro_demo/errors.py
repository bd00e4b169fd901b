"""The errors a user can cause, each told in one sentence.

Every message says what is wrong, what would be right, and ends with
``Received: …``. The command line prints it and exits with code 2; the page shows
it in place of a result. Anything else that is raised is a defect of ours.
"""


class ThyroError(ValueError):
    """Base of every error that a user can cause and mend."""


class ImageError(ThyroError):
    """A file or array is not an image that can be read."""


class DataError(ThyroError):
    """A data folder, table or annotation is not in the layout that was asked for."""


class LeakError(DataError):
    """A group, or a near copy of an image, stands on two sides of a split."""


class RecipeError(ThyroError):
    """A recipe, a stage or one of their settings cannot be run."""


class BundleError(ThyroError):
    """A bundle is missing, damaged, foreign or made for other versions."""


class StudyError(ThyroError):
    """A part of a study failed, or does not fit the others."""
