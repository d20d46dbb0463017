import contextlib
import sqlite3

import pytest
from starlette.testclient import TestClient

from morphtools.app.server import create_app


@pytest.fixture
def opened(tmp_path):
    """Opens the application for a store, everything read; returns a client whose base address has the secret."""

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


@pytest.fixture
def fill_disk(monkeypatch):
    """Stops all databases from growing, as on a full disk, or lets them grow again."""
    connect, opened, full = sqlite3.connect, [], set()

    def limited(*arguments, **options):
        database = connect(*arguments, **options)
        opened.append(database)
        if full:
            database.execute("PRAGMA max_page_count = 1")  # not below their present size
        return database

    def fill(now: bool) -> None:
        (full.add if now else full.discard)("disk")
        for database in opened:
            with contextlib.suppress(sqlite3.ProgrammingError):  # it was closed, or is another thread's
                database.execute(f"PRAGMA max_page_count = {1 if now else 2**30}")

    monkeypatch.setattr("sqlite3.connect", limited)
    return fill
