import json

import pytest


@pytest.fixture
def dfdc(tree):
    """`dfdc(root, part, entries, *names)` makes a part of DFDC with these entries and files, and returns the root."""

    def make(root, part, entries, *names):
        tree(root, *(f"{part}/{name}" for name in names))
        (root / part / "metadata.json").write_text(json.dumps(entries))
        return root

    return make
