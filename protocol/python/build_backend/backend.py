"""Builds the wheel: with the binary where Rust is at hand, pure Python where it is not.

``MIGRATION_ENGINE_PURE=1`` asks for the pure one in any case.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

ROOT = Path(__file__).resolve().parents[1]
CRATE = ROOT.parent.parent / "engine" / "Cargo.toml"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_Config = Optional[Dict[str, Any]]


def rust_is_there() -> bool:
    """Whether the engine's source and a cargo that works are at hand."""
    cargo = shutil.which("cargo")
    if os.environ.get("MIGRATION_ENGINE_PURE") == "1" or cargo is None or not CRATE.exists():
        return False
    try:
        tried = subprocess.run([cargo, "--version"], capture_output=True, check=False)
    except OSError:
        return False
    return tried.returncode == 0


def get_requires_for_build_wheel(config_settings: _Config = None) -> List[str]:
    """maturin, but only where it has something to compile."""
    return ["maturin>=1.7,<2"] if rust_is_there() else []


get_requires_for_build_editable = get_requires_for_build_wheel
get_requires_for_build_sdist = get_requires_for_build_wheel


def build_wheel(
    wheel_directory: str,
    config_settings: _Config = None,
    metadata_directory: Optional[str] = None,
) -> str:
    """Writes a wheel; its name."""
    if rust_is_there():
        return str(_maturin().build_wheel(wheel_directory, config_settings, metadata_directory))
    files = [(str(path.relative_to(ROOT)), path.read_bytes()) for path in package_files()]
    return _write_wheel(Path(wheel_directory), files)


def build_editable(
    wheel_directory: str,
    config_settings: _Config = None,
    metadata_directory: Optional[str] = None,
) -> str:
    """Writes a wheel that leads to this source; its name."""
    if rust_is_there():
        return str(_maturin().build_editable(wheel_directory, config_settings, metadata_directory))
    link = [("migration_engine.pth", (str(ROOT) + "\n").encode())]
    return _write_wheel(Path(wheel_directory), link)


def build_sdist(sdist_directory: str, config_settings: _Config = None) -> str:
    """Writes a source archive; its name."""
    if rust_is_there():
        return str(_maturin().build_sdist(sdist_directory, config_settings))
    name, version = project()
    base = "%s-%s" % (name, version)
    with tarfile.open(Path(sdist_directory) / (base + ".tar.gz"), "w:gz") as archive:
        for path in [ROOT / "pyproject.toml", ROOT / "README.md", *package_files()]:
            archive.add(path, "%s/%s" % (base, path.relative_to(ROOT)))
        archive.add(Path(__file__), "%s/build_backend/backend.py" % base)
        info = tarfile.TarInfo(base + "/PKG-INFO")
        info.size = len(metadata())
        archive.addfile(info, io.BytesIO(metadata()))
    return base + ".tar.gz"


def _maturin() -> Any:
    return importlib.import_module("maturin")


def package_files() -> Iterator[Path]:
    """The files of the package, sorted."""
    for path in sorted((ROOT / "migration_engine").rglob("*")):
        if path.suffix == ".py" or path.name == "py.typed":
            yield path


def project() -> Tuple[str, str]:
    """The distribution's name, as file names spell it, and its version."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return _field(text, "name").replace("-", "_"), _field(text, "version")


def _field(text: str, name: str) -> str:
    found = re.search(r'^%s = "([^"]+)"' % re.escape(name), text, re.MULTILINE)
    if found is None:
        raise ValueError("pyproject.toml has no %s" % name)
    return found.group(1)


def metadata() -> bytes:
    """The distribution's metadata."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = [
        "Metadata-Version: 2.1",
        "Name: " + _field(text, "name"),
        "Version: " + _field(text, "version"),
        "Summary: " + _field(text, "description"),
        "License: Apache-2.0",
        "Requires-Python: " + _field(text, "requires-python"),
        "Description-Content-Type: text/markdown",
        "",
        (ROOT / "README.md").read_text(encoding="utf-8"),
    ]
    return "\n".join(lines).encode("utf-8")


def _write_wheel(directory: Path, files: List[Tuple[str, bytes]]) -> str:
    name, version = project()
    wheel = "%s-%s-py3-none-any.whl" % (name, version)
    info = "%s-%s.dist-info/" % (name, version)
    tags = (
        "Wheel-Version: 1.0\nGenerator: migration_engine\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n"
    )
    entries = [*files, (info + "METADATA", metadata()), (info + "WHEEL", tags.encode())]
    record = "".join(_recorded(path, data) for path, data in entries) + info + "RECORD,,\n"
    with zipfile.ZipFile(directory / wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in [*entries, (info + "RECORD", record.encode())]:
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return wheel


def _recorded(path: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return "%s,sha256=%s,%d\n" % (path, digest, len(data))
