"""Fixtures: each backend by name, and engines and hosts that end with the test."""

import warnings
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from migration_engine import Engine

from .backends import Host, argv_of, environment, native_binary

BACKENDS = ("native", "python")


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def no_settings_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings a user may have must not reach the package under test."""
    for name in ("MIGRATION_ENGINE_BACKEND", "MIGRATION_ENGINE_REQUIRE", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def make_engine(backend: str, tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Opens engines of the backend, in the scratch directory."""
    opened = []

    def make(**settings: Any) -> Engine:
        settings.setdefault("cwd", tmp_path)
        settings.setdefault("state_dir", tmp_path / "state")
        if backend == "native":
            settings.setdefault("binary", native_binary())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            engine = Engine(backend=backend, **settings)
        opened.append(engine)
        return engine

    yield make
    for engine in opened:
        engine.close()


@pytest.fixture
def engine(make_engine: Callable[..., Engine]) -> Engine:
    return make_engine()


@pytest.fixture
def make_host(backend: str, tmp_path: Path) -> Iterator[Callable[..., Host]]:
    """Opens plain hosts of the backend, in the scratch directory."""
    hosts = []

    def make(*arguments: str, read: bool = True) -> Host:
        env = environment(tmp_path / "state")
        host = Host([*argv_of(backend), *arguments], cwd=tmp_path, env=env, read=read)
        hosts.append(host)
        return host

    yield make
    for host in hosts:
        host.kill()
