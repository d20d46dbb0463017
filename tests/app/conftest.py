import pytest
from starlette.testclient import TestClient

from morphtools.app.server import create_app


@pytest.fixture
def opened(tmp_path):
    """Opens the application over a store, everything read; a client of it whose base address has the secret."""

    def opened(store, **options):
        app = create_app(store, load=False, **options)
        app.state.atlas.load()
        client = TestClient(app, base_url=f"http://127.0.0.1/{app.state.token}/")
        client.application = app
        return client

    return opened


@pytest.fixture
def client(three_kinds, opened):
    """The application over 60 galaxies of three kinds, with their catalogue and images."""
    store, catalog, images = three_kinds
    return opened(store, catalog=catalog, images=images)
