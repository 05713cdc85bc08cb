"""What readers of data raise."""


class DataError(Exception):
    """The data are not where they were said to be, or not what they should be.

    The message names the file or folder and says what to do.
    """
