"""The README's session is a real one: each command in it is run, and prints what stands there."""

from __future__ import annotations

import re
import subprocess

import records
from bao import PROJECT, Server, bao_binary
from mek import backup_of

COMMAND = "$ "
UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
DURATION = re.compile(r"\b\d+h(?:\d+m)?(?:\d+s)?\b")
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


def session() -> list[tuple[str, str]]:
    """Each command of the README's console blocks with the output that follows it."""
    blocks = re.findall(r"^```console\n(.*?)^```$", (PROJECT / "README.md").read_text(), re.S | re.M)
    found: list[tuple[str, str]] = []
    for line in "".join(blocks).splitlines():
        if line.startswith(COMMAND):
            found.append((line.removeprefix(COMMAND), ""))
        else:
            command, output = found.pop()
            found.append((command, f"{output}{line}\n"))
    return found


def plain(text: str, kids: dict[str, str]) -> str:
    """`text` with times as TIME, ages as DURATION, the server as ADDRESS, and each kid as the number of its first appearance."""
    text = DURATION.sub("DURATION", ADDRESS.sub("ADDRESS", text))
    text = UUID.sub(lambda kid: kids.setdefault(kid[0], f"KID{len(kids) + 1}"), text)
    text = re.sub(r"\s+$", "", TIME.sub("TIME", text), flags=re.M)
    # The tables are as wide as their longest value.
    return re.sub(r"[ \t]{2,}", "  ", re.sub(r"-{3,}", "---", text)).strip()


def test_the_session_prints_what_the_readme_says(dev_server: Server) -> None:
    home = dev_server.home
    (home / "mek_backup.json").write_text(backup_of(records.SAMPLES["good_bootstrapped"].data))
    tools = home / "bin"
    tools.mkdir(exist_ok=True)
    (tools / "bao").symlink_to(bao_binary())
    environment = dev_server.environment()
    environment["PATH"] = f"{tools}:{environment['PATH']}"

    commands = session()
    assert len(commands) >= 4 and commands[0][0] == "bao secrets enable mek"
    written: dict[str, str] = {}
    printed: dict[str, str] = {}
    try:
        for command, output in commands:
            done = subprocess.run(["bash", "-c", command], cwd=home, env=environment, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=60, check=False)
            assert plain(done.stdout, printed) == plain(output, written), command
    finally:
        dev_server.cli("secrets", "disable", "mek").ok()
