"""The one exception that is shown to a user without a traceback."""


class UserError(Exception):
    """A mistake in what the user asked for: one sentence with the value, what is allowed and the override to type."""
