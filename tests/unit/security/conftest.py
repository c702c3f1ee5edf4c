import pytest


@pytest.fixture
def tree():
    """`tree(root, *names)` makes empty files of these names, and returns the root."""

    def make(root, *names):
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return root

    return make
