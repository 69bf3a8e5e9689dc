"""Separate hosts on one kernel: network namespaces, each with an address, a name and a cable to a switch."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ETC = Path("/etc/netns")
"""`ip netns exec` lays what is in the folder of a namespace over /etc, for that process alone."""
SUBNET = "10.77.0"


@dataclass(frozen=True, kw_only=True)
class Host:
    """A network namespace.

    Attributes:
        switch: The namespace that its cable leads to.
        port: The cable's end there.
    """

    name: str
    address: str
    switch: str
    port: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """Command that brings a process to the host."""
        named = f'hostname {self.name} && exec "$@"'
        return ("ip", "netns", "exec", self.name, "unshare", "--uts", "sh", "-c", named, "-")

    def cut_off(self) -> None:
        """Pull the cable; what runs there runs on."""
        ip("-n", self.switch, "link", "set", self.port, "down")

    def heal(self) -> None:
        """Plug it in again."""
        ip("-n", self.switch, "link", "set", self.port, "up")


def ip(*arguments: str) -> None:
    """Run `ip`; it must succeed."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def why_not() -> str:
    """Say why there can be no hosts here; "" where there can."""
    if missing := [tool for tool in ("ip", "unshare") if shutil.which(tool) is None]:
        return f"no {' and '.join(missing)}"
    name = f"mr{os.getpid()}"
    try:
        ip("netns", "add", name)
        ip("-n", name, "link", "add", "br0", "type", "bridge")
    except subprocess.CalledProcessError as error:
        return f"no network namespaces: {error.stderr.strip()}"
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return ""


@contextmanager
def connected_hosts(number: int) -> Iterator[list[Host]]:
    """Make hosts that reach each other and nobody else; they go with the block, and so must what runs there."""
    switch = f"mr{os.getpid()}s"
    with ExitStack() as made:
        made.enter_context(_namespace(switch))
        ip("-n", switch, "link", "add", "br0", "type", "bridge")
        ip("-n", switch, "link", "set", "br0", "up")
        yield [made.enter_context(_host(count, switch)) for count in range(1, number + 1)]


@contextmanager
def _host(count: int, switch: str) -> Iterator[Host]:
    host = Host(name=f"{switch}{count}", address=f"{SUBNET}.{count}", switch=switch, port=f"port{count}")
    with _namespace(host.name), _etc(host):
        ip("link", "add", "eth0", "netns", host.name, "type", "veth", "peer", "name", host.port, "netns", switch)
        ip("-n", switch, "link", "set", host.port, "master", "br0", "up")
        ip("-n", host.name, "link", "set", "lo", "up")
        ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", "eth0")
        ip("-n", host.name, "link", "set", "eth0", "up")
        ip("-n", host.name, "route", "add", "default", "via", f"{SUBNET}.254")
        yield host


@contextmanager
def _namespace(name: str) -> Iterator[None]:
    ip("netns", "add", name)
    try:
        yield
    finally:
        ip("netns", "delete", name)


@contextmanager
def _etc(host: Host) -> Iterator[None]:
    """Let a host find its own name, as gloo does."""
    folder = ETC / host.name
    folder.mkdir(parents=True)
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{host.address} {host.name}\n")
    try:
        yield
    finally:
        shutil.rmtree(folder)
