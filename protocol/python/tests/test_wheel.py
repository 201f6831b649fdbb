"""Without a Rust toolchain a pure wheel installs, and the fallback answers."""

import ast
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import Iterator, Set

from build_backend import backend

from .backends import PACKAGE_ROOT


def test_the_pure_wheel_holds_the_whole_package(tmp_path: Path) -> None:
    env_before = os.environ.get("MIGRATION_ENGINE_PURE")
    os.environ["MIGRATION_ENGINE_PURE"] = "1"
    try:
        assert backend.get_requires_for_build_wheel() == []
        name = backend.build_wheel(str(tmp_path))
    finally:
        if env_before is None:
            del os.environ["MIGRATION_ENGINE_PURE"]
        else:
            os.environ["MIGRATION_ENGINE_PURE"] = env_before
    with zipfile.ZipFile(tmp_path / name) as wheel:
        assert wheel.testzip() is None
        names = set(wheel.namelist())
    files = {str(path.relative_to(PACKAGE_ROOT)) for path in backend.package_files()}
    assert files <= names
    assert "migration_engine/py.typed" in names


def test_pip_installs_without_cargo_and_the_fallback_works(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    env = {name: value for name, value in os.environ.items() if "MIGRATION_ENGINE" not in name}
    env["PATH"] = "%s:/usr/bin:/bin" % (tmp_path / "venv" / "bin")
    env["MIGRATION_ENGINE_PURE"] = "1"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--no-index", "--quiet"]
    subprocess.run([*pip, str(PACKAGE_ROOT)], env=env, check=True, cwd=tmp_path)
    (tmp_path / "a").write_text("alpha")
    script = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from migration_engine import Engine\n"
        "with Engine(state_dir='state') as engine:\n"
        "    print(engine.info.backend, engine.copy('a', 'b').result().status)\n"
    )
    ran = subprocess.run(
        [python, "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["python", "ok"], ran.stderr
    assert (tmp_path / "b").read_text() == "alpha"


def test_the_package_has_no_dependency_beyond_the_standard_library() -> None:
    """Every import of the package is its own or the standard library's."""
    names: Set[str] = set()
    for path in backend.package_files():
        if path.suffix == ".py":
            names.update(imported(ast.parse(path.read_text())))
    # typing_extensions is named for type checkers of old versions, and never imported.
    assert names <= set(sys.stdlib_module_names) | {"typing_extensions", "migration_engine"}


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]
