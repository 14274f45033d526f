"""The page's modules: each parses, imports only what exists, and its pure parts pass their tests in node."""

import re
import subprocess
from pathlib import Path

import pytest

from web.api.ui import STATIC

_FOLDER = Path(__file__).parent
_MODULES = sorted(path for path in STATIC.rglob("*.js") if "vendor" not in path.parts)
_IMPORT = re.compile(r'import \{([^}]+)\} from "(\.\.?/[\w./]+\.js)"')
_EXPORT = re.compile(r"export (?:async )?(?:const|function|class) (\w+)")


@pytest.mark.parametrize("name", sorted(path.name for path in _FOLDER.glob("*.test.mjs")))
def test_page_module(name: str) -> None:
    _node("--test", str(_FOLDER / name))


@pytest.mark.parametrize("module", _MODULES, ids=lambda path: path.name)
def test_a_module_parses(module: Path) -> None:
    _node("--input-type=module", "--check", text=module.read_text())


@pytest.mark.parametrize("module", _MODULES, ids=lambda path: path.name)
def test_a_module_imports_what_exists(module: Path) -> None:
    for names, source in _IMPORT.findall(module.read_text()):
        exported = set(_EXPORT.findall((module.parent / source).read_text()))
        assert {name.strip() for name in names.split(",") if name.strip()} <= exported


def _node(*arguments: str, text: str | None = None) -> None:
    command = ["node", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, input=text)
    assert done.returncode == 0, done.stdout + done.stderr
