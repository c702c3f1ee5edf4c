"""Addresses as they may be shown and kept: without who may enter, by which word."""

import re

USER = re.compile(r"(?<=://)[^\s/?#'\"]*@|(?<=://)[^\s?#'\"@]*:[^\s?#'\"@]*/[^\s?#'\"@]*@")
"""User and password before a host, also a password with slashes that should have been escaped."""
SECRET = re.compile(
    r"(?P<name>[?&;/_,#][\w.-]*?(?:pass|pwd|token|secret|signature|credential|auth|key|sig)[\w.-]*=)[^&;\s'\"#]+",
    re.IGNORECASE,
)
"""A value in a query, or in a path as some cameras have it, by a name that tells what it is."""


def redacted(text: str) -> str:
    """`text` with `***` for users, passwords, tokens and signatures in the addresses in it."""
    return SECRET.sub(r"\g<name>***", USER.sub("***@", text)) if "://" in text else text


def holds_secret(address: str) -> bool:
    """Whether an address holds what must not be kept or shown."""
    return redacted(address) != address
