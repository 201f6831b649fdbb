"""The engine for asyncio, on both backends."""

import asyncio
from pathlib import Path
from typing import Any, Dict, List

import pytest

from migration_engine import AsyncEngine, Cancelled, Progress, SourceNotFound

from . import scratch
from .backends import native_binary


@pytest.fixture
def settings(backend: str, tmp_path: Path) -> Dict[str, Any]:
    chosen: Dict[str, Any] = {"backend": backend, "cwd": tmp_path, "state_dir": tmp_path / "state"}
    if backend == "native":
        chosen["binary"] = native_binary()
    return chosen


def test_await_gives_the_result(settings: Dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "a").write_text("alpha")

    async def main() -> None:
        async with AsyncEngine(**settings) as engine:
            first, second = await asyncio.gather(engine.copy("a", "b"), engine.copy("a", "c"))
            assert first.ok and second.ok
            with pytest.raises(SourceNotFound):
                await engine.inspect("nowhere")
            await engine.ping()
            assert (await engine.limits(jobs=2)).jobs == 2
            assert await engine.jobs() == []

    asyncio.run(main())
    assert (tmp_path / "c").read_text() == "alpha"


def test_events_end_with_the_result(settings: Dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "a").write_text("alpha")

    async def main() -> List[str]:
        async with AsyncEngine(**settings) as engine:
            job = engine.copy("a", "b")
            kinds = [str(event["type"]) async for event in job.events()]
            # A second reader, late, still gets what was kept.
            again = [str(event["type"]) async for event in job.events()]
            assert kinds == again
            return kinds

    kinds = asyncio.run(main())
    assert kinds[0] == "accepted" and kinds[-1] == "result"


def test_cancel_and_progress_on_the_loop(settings: Dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(scratch.pattern(4 << 20))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        seen: List[Progress] = []
        came = asyncio.Event()

        def note(progress: Progress) -> None:
            assert asyncio.get_running_loop() is loop
            seen.append(progress)
            came.set()

        async with AsyncEngine(progress_ms=50, **settings) as engine:
            job = engine.copy(
                "big",
                "copy",
                on_progress=note,
                limits={"bytes_per_s": "64KiB"},
                chunk_bytes="64KiB",
            )
            await asyncio.wait_for(came.wait(), 60)
            await job.cancel("enough")
            with pytest.raises(Cancelled):
                await job
        assert seen

    asyncio.run(main())


def test_map_and_batch(settings: Dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "a").write_text("alpha")

    async def main() -> int:
        async with AsyncEngine(**settings) as engine:
            batch = engine.batch([{"op": "inspect", "src": "a"}] * 3)
            assert (await batch).data.ok == 3
            for child in batch.children:
                assert (await child).ok
            commands = ({"op": "inspect", "src": "a"} for _ in range(200))
            return len([job async for job in engine.map(commands, max_outstanding=8)])

    assert asyncio.run(main()) == 200
