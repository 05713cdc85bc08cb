"""What can be wrong with a foreign file."""

from service.errors import ModelError


class ForeignFileError(ModelError):
    """A file cannot be brought under the contract; the message says why and what to do."""
