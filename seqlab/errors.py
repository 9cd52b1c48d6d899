"""Errors that users can act on: every message names the value, the rule and the remedy."""


class SeqlabError(ValueError):
    """Anything a user can cause and put right; the command line prints it as one line."""


class AudioError(SeqlabError):
    """An audio file or waveform that cannot be used: missing, empty, truncated, not audio, NaN."""


class DataError(SeqlabError):
    """A corpus, manifest, transcript or label that does not fit."""


class RecipeError(SeqlabError):
    """A recipe, override or component specification that does not fit the code."""


class ModelError(SeqlabError):
    """A model directory or training checkpoint that is missing, damaged or not allowed."""


class TrainingError(SeqlabError):
    """A training run that cannot go on, such as a loss that is not finite."""


class MissingDependencyError(SeqlabError, ImportError):
    """An optional package is needed; the message says which extra installs it."""
