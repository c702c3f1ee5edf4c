"""A server that speaks S3, on this machine, and a bucket in it."""

import uuid

import pytest

from storage.remote import COPIES


@pytest.fixture(scope="session")
def server():
    """The address of the server."""
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def credentials(server, monkeypatch):
    """What the store's library finds in the environment."""
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "not-to-be-seen",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(credentials):
    """The address of an empty bucket."""
    import s3fs

    name = f"bucket-{uuid.uuid4().hex[:8]}"
    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}"


@pytest.fixture
def other_credentials(credentials):
    """For a test that changes the environment: file systems read it once."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    yield
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """`machine("a")`: from now on this is machine `a`, with a disk of its own."""

    def switch(name: str) -> None:
        monkeypatch.setenv(COPIES, str(tmp_path / name))

    switch("a")
    return switch
