"""The README's thirty-line plugin works as it stands there."""

import importlib.util
import re
import socket
from pathlib import Path
from types import ModuleType

import vmsuite_plugins.reporters
from vmsuite.model import Outcome
from vmsuite.registry import load_registry
from vmsuite.testing.lab import Lab, messages

README = Path(__file__).parents[2] / "README.md"


def plugin(folder: Path) -> ModuleType:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (text,) = [block for block in blocks if "hookimpl" in block]
    assert len(text.splitlines()) <= 35
    path = folder / "port_free.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("port_free", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def suite(port: int | str) -> str:
    return f"name: s\ncases: [{{name: c, steps: [{{type: port_free, port: {port}}}]}}]"


def test_the_plugin_of_the_readme_checks_passes_and_fails(tmp_path: Path) -> None:
    registry = load_registry([plugin(tmp_path), vmsuite_plugins.reporters])
    lab = Lab(folder=tmp_path, registry=registry)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        taken = lab.run_case(suite(port))
        assert taken.outcome is Outcome.FAILED
        assert taken.message == f"something listens on port {port}"
    assert lab.run_case(suite(port)).outcome is Outcome.PASSED
    (said,) = messages(lab.findings(suite(99999)))
    assert "99999" in said or "65535" in said
