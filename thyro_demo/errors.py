"""The errors a user can cause, each reported in one sentence.

Every message states what must be, and ends with ``Received: name=value.`` The command line
prints it and exits with code 2; the page shows it in place of a result. Anything else that is
raised is a defect of ours.
"""


class ThyroError(ValueError):
    r"""Base of every error that a user can cause and mend.

    The message stays on one line whatever a name or a cell that it quotes holds: line breaks and
    other control characters are written as ``\n``, ``\x1b`` and so on.
    """

    def __str__(self) -> str:
        return "".join(
            sign if sign.isprintable() or (sign.isspace() and sign not in _BREAKS)
            else sign.encode("unicode_escape").decode()
            for sign in super().__str__()
        )  # fmt: skip


_BREAKS = "\n\r\t\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029"


class ImageError(ThyroError):
    """A file or array is not an image that can be read."""


class DataError(ThyroError):
    """A data folder, table or annotation is not in the layout that was asked for."""


class LeakError(DataError):
    """A group, or a near duplicate of an image, is on two sides of a split."""


class RecipeError(ThyroError):
    """A recipe, a stage or one of their settings cannot be run."""


class BundleError(ThyroError):
    """A bundle is missing, damaged, foreign or made for other versions."""


class StudyError(ThyroError):
    """A part of a study failed, or does not fit the others."""
