"""Servers with a tls-port, and certificates for them."""

import socket
import ssl
import subprocess
from pathlib import Path

from harness import ROOT, SLOWNESS, Client, Closed, Server, ports, temp_dir


def certificates(*flags: str) -> Path:
    folder = temp_dir()
    subprocess.run([ROOT / "utils/gen-test-certs", folder, *flags], check=True)
    return folder


def flags(folder: Path, name="server", **more) -> dict:
    """Options of a node with this certificate."""
    options = {"tls_cert_file": folder / f"{name}.crt", "tls_key_file": folder / f"{name}.key"}
    return options | {"tls_ca_cert_file": folder / "ca.crt"} | more


def context(folder: Path, name: str | None = "client", ca="ca") -> ssl.SSLContext:
    """A client's, with this certificate."""
    made = ssl.create_default_context(cafile=folder / f"{ca}.crt")
    if name is not None:
        made.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    return made


def client_hello(folder: Path) -> bytes:
    """What a client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    half = context(folder).wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        half.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class TlsServer(Server):
    """One with a tls-port beside its port."""

    def __init__(self, folder: Path, start=True, **options):
        self.folder = folder
        self.tls_port = ports.take()
        super().__init__(start=start, **{**flags(folder), "tls_port": self.tls_port, **options})

    def tls(self, name: str | None = "client", **more) -> Client:
        return Client(self.tls_port, timeout=30 * SLOWNESS, tls=context(self.folder, name), **more)

    def raw(self) -> socket.socket:
        """A connection to the tls-port on which nothing has been said."""
        return socket.create_connection(("127.0.0.1", self.tls_port), timeout=30 * SLOWNESS)

    def takes(self, name: str | None) -> bool:
        """Whether a client with this certificate is answered."""
        try:
            with self.tls(name) as c:
                return c("PING") == "PONG"
        except (Closed, OSError):  # an alert may come during the handshake or behind it
            return False

    def stats(self) -> dict[str, str]:
        with self.client() as c:
            return c.info("stats")
