"""A job: a step, its settings and the jobs whose results it needs, keyed by the hash of these."""

import hashlib
import json
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from thyro_demo.errors import StudyError
from thyro_demo.files import atomic_write

Values = dict[str, np.ndarray]
"""A job's result: arrays by name."""

Step = Callable[..., Mapping[str, Any]]
"""Takes the settings, as JSON returns them, and one dict of read-only arrays for each need.

It returns a dict of arrays of numbers or of strings of fixed width, draws no number from an
unfixed seed, and is a function of a module, which worker processes import by its name.
"""

_AnyStep = TypeVar("_AnyStep", bound=Step)


def version(number: int) -> Callable[[_AnyStep], _AnyStep]:
    """Note the version of a step's code, so that no result of its former code is used.

    Parameters
    ----------
    number : int
        Part of the key of every job of the step; 1 is that of a step without a note.

    Returns
    -------
    callable
        Decorates the step, which stays as it is.
    """

    def note(step: _AnyStep) -> _AnyStep:
        step.version = number  # type: ignore[attr-defined]
        return step

    return note


@dataclass(frozen=True, eq=False)
class Job:
    """One part of a graph. Two jobs with the same key are the same job.

    Parameters
    ----------
    step : callable or None
        See `Step`; None for a leaf, which has its value.
    settings : mapping
        What JSON can hold.
    needs : tuple of Job
        Whose results it takes.
    title : str
        For people; not part of the key.
    value : mapping of str to ndarray, or None
        The result of a leaf that needs no computing; see `leaf`.

    Attributes
    ----------
    key : str
        SHA-256 of the step's name and version, the settings and the keys of what it needs, 64
        hexadecimal digits.

    Raises
    ------
    StudyError
        If JSON cannot hold the settings, or workers cannot import the step.
    """

    step: Step | None
    settings: Mapping[str, Any]
    needs: tuple["Job", ...] = ()
    title: str = ""
    value: Mapping[str, np.ndarray] | None = field(default=None, repr=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        try:
            text = json.dumps(self.settings, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise StudyError(
                "The settings of a job must be strings, finite numbers, truth values, lists and "
                f"mappings of them. Received: {error} in {self.title or self.step_name}."
            ) from None
        try:
            pickle.dumps(self.step)
        except (AttributeError, pickle.PicklingError) as error:
            raise StudyError(
                "A step must be a function of a module, so that workers can import it. "
                f"Received: {self.step_name} ({error})."
            ) from None
        needed = [need.key for need in self.needs]
        recipe = json.dumps([self.step_name, self.version, text, needed])
        object.__setattr__(self, "settings", json.loads(text))
        object.__setattr__(self, "key", hashlib.sha256(recipe.encode()).hexdigest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def step_name(self) -> str:
        """Module and name of the step."""
        if self.step is None:
            return "leaf"
        return f"{self.step.__module__}:{getattr(self.step, '__qualname__', self.step)}"

    @property
    def version(self) -> int:
        """Version of the step's code."""
        return int(getattr(self.step, "version", 1))

    @property
    def name(self) -> str:
        """Title, or step and beginning of the key."""
        return self.title or f"{self.step_name} {self.key[:8]}"


def leaf(title: str, key_of: Mapping[str, Any] | None = None, **arrays: np.ndarray) -> Job:
    """Make a leaf of the graph that holds its value.

    Parameters
    ----------
    title : str
        For people.
    key_of : mapping, optional
        What represents the value in the key, where the value itself holds too much, such as
        where a file is on this host; the content of the arrays without it.
    **arrays : ndarray
        Numbers or strings of fixed width.

    Returns
    -------
    Job
        The leaf; it is never computed and has no line in the table.

    Raises
    ------
    StudyError
        If an array holds objects, or is named as NumPy or the graph names something of its own.
    """
    value = checked(arrays)
    recipe = {"content": digest(value)} if key_of is None else dict(key_of)
    return Job(None, recipe, (), title, value)


def digest(values: Mapping[str, np.ndarray]) -> str:
    """Hash arrays: names, types, shapes and bytes.

    Parameters
    ----------
    values : mapping of str to ndarray
        Arrays by name.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.

    Raises
    ------
    StudyError
        If an array holds objects.
    """
    found = hashlib.sha256()
    for name, array in sorted(checked(values).items()):
        found.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def checked(found: Mapping[str, Any]) -> Values:
    """Check that a result can be kept in a file without pickle.

    Parameters
    ----------
    found : mapping of str to array_like
        The result.

    Returns
    -------
    dict of str to ndarray
        The same as arrays.

    Raises
    ------
    StudyError
        If an array holds objects, or has a name that NumPy or the graph keeps to itself.
    """
    values = {name: np.asarray(array) for name, array in found.items()}
    for name, array in values.items():
        if array.dtype.hasobject or name.startswith("_") or name in ("file", "allow_pickle"):
            raise StudyError(
                "A job must return numbers or strings of fixed width, under names that are not "
                "file or allow_pickle and do not begin with _. "
                f"Received: {name} of type {array.dtype}."
            )
    return values


_FACTS = "_job"
"""Name under which a result file names its job."""


def write(file: Path, values: Mapping[str, np.ndarray], **known: Any) -> None:
    """Write a result file, whole or not at all.

    Parameters
    ----------
    file : Path
        ``<key>.npz``.
    values : mapping of str to ndarray
        The result.
    **known : object
        What `facts` reads: `key`, `step`, `version`, `settings` and `seconds`.
    """
    note = np.array(json.dumps(known | {"arrays": sorted(values)}))
    arrays: dict[str, Any] = {_FACTS: note, **values}
    with atomic_write(file) as temporary:
        np.savez(temporary, **arrays)


def facts(file: Path, key: str) -> dict[str, Any] | None:
    """Read what a result file notes of itself, if it is whole.

    Parameters
    ----------
    file : Path
        ``<key>.npz``.
    key : str
        Of the job.

    Returns
    -------
    dict or None
        As `write` was called with, and the names of the `arrays`; None for a file that is
        missing, damaged or of another job.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.testzip() is not None:
                return None
        with np.load(file, allow_pickle=False) as held:
            found: dict[str, Any] = json.loads(str(held[_FACTS]))
            entire = found["key"] == key and {_FACTS, *found["arrays"]} == set(held.files)
    except Exception:
        # A damaged file fails in as many ways as the parts of zip, NumPy and JSON.
        return None
    return found if entire else None


def read(file: Path) -> Values:
    """Read the arrays of a result file, so that they cannot be written over.

    Parameters
    ----------
    file : Path
        An ``.npz`` file.

    Returns
    -------
    dict of str to ndarray
        Arrays by name; names that begin with an underscore are left out.
    """
    with np.load(file, allow_pickle=False) as held:
        values = {name: held[name] for name in held.files if not name.startswith("_")}
    for array in values.values():
        # A job that wrote over what it shares with others would make order matter.
        array.flags.writeable = False
    return values
