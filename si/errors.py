"""Every error a user can meet: one class a fact, each with its own exit code.

Stage: none; everything may import this module. Runs on clients, hence Python 3.9 and no dependency.
A message is one line that says what is wrong, a hint says what to do about it. `si.cli.command`
(server) and `si.client.boundary` (client) are the two boundaries that print them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class SIError(Exception):
    """Base of all errors that are the world's fault, not the program's."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True)
class Problem:
    """One fault in a document: where it stands and what to write instead."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class ClientsFailed(SIError):
    """Some of the clients a command was run for failed."""

    exit_code = 3


class ConfigInvalid(SIError):
    """si.toml cannot be read or says something unknown."""

    exit_code = 10


class StoreLocked(SIError):
    """Another command holds the image."""

    exit_code = 11


class ImageNotFound(SIError):
    """No image of that name."""

    exit_code = 12


class ImageExists(SIError):
    """The destination name is taken."""

    exit_code = 13


class NameInvalid(SIError):
    """A name that must not become a path, a host or a shell word."""

    exit_code = 14


class ImageInUse(SIError):
    """Something is mounted in, or still reads, the image."""

    exit_code = 15


class DocumentInvalid(SIError):
    """An XML document with one or more problems, all of them listed."""

    exit_code = 16

    def __init__(self, problems: Iterable[Problem], *, hint: str | None = None) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        files = sorted({problem.file for problem in self.problems})
        noun = "problem" if count == 1 else "problems"
        super().__init__(f"{count} {noun} in {', '.join(files)}", hint=hint)


class LayoutNotFound(SIError):
    """No layout document where one is needed."""

    exit_code = 17


class CommandFailed(SIError):
    """A program that this product runs ended with an error."""

    exit_code = 18


class ToolMissing(SIError):
    """A program that is needed is not installed."""

    exit_code = 19


class ClientUnknown(SIError):
    """A client that cluster.xml does not name."""

    exit_code = 20


class RangeInvalid(SIError):
    """A client range that cannot be read or names nothing."""

    exit_code = 21


class NameNotResolved(SIError):
    """Neither DNS nor the hosts file knows the name."""

    exit_code = 23


class GoldenClientUnreachable(SIError):
    """The golden client does not answer, or was not prepared."""

    exit_code = 24


class CaptureFailed(SIError):
    """The golden client's tree did not arrive whole."""

    exit_code = 25


class StoreCannotKeep(SIError):
    """The store's file system cannot hold an attribute that images need."""

    exit_code = 26


class NoSpace(SIError):
    """Not enough room for what is about to be written."""

    exit_code = 27


class FlavorBuildFailed(SIError):
    """A program, library or module for the BOEL initrd is missing."""

    exit_code = 28


class FlavorNotFound(SIError):
    """No flavor of that name was built."""

    exit_code = 29


class ScriptEdited(SIError):
    """A master script was changed by hand and would be overwritten."""

    exit_code = 30


class PortTaken(SIError):
    """Another program listens on a port that si-server needs."""

    exit_code = 31


class LayoutContradictsFacts(SIError):
    """The golden client's layout document does not describe its disks."""

    exit_code = 32


class ServerUnreachable(SIError):
    """The image server does not answer."""

    exit_code = 33


class UpdateRefused(SIError):
    """An update that would break this machine."""

    exit_code = 34


class PrivilegeMissing(SIError):
    """The command needs rights that this user does not have."""

    exit_code = 35


class NotConfirmed(SIError):
    """A destructive command was not confirmed."""

    exit_code = 36


class ScriptNotFound(SIError):
    """No master script of that name."""

    exit_code = 38


class DhcpInvalid(SIError):
    """A DHCP configuration that cannot work, or that the DHCP server refuses."""

    exit_code = 40


class ServerNotRunning(SIError):
    """si-server was asked for its status and does not run."""

    exit_code = 41


class FactsInvalid(SIError):
    """A golden client's facts.json cannot be believed."""

    exit_code = 42


class ClientBusy(SIError):
    """Another si command is at work on this client."""

    exit_code = 43


class BootArgumentsInvalid(SIError):
    """Kernel arguments that a boot program would not pass on as they stand."""

    exit_code = 44


class ServerAlreadyRuns(SIError):
    """Another si-server serves the same root."""

    exit_code = 45


class ClientExists(SIError):
    """cluster.xml has a client with this name, MAC or address already."""

    exit_code = 50


class FileRefused(SIError):
    """A configuration file cannot be read or written."""

    exit_code = 51


class KeyNotFound(SIError):
    """A passphrase file that a layout names is not on the server."""

    exit_code = 52


class VersionNotFound(SIError):
    """No version of that number, or none published yet."""

    exit_code = 60


class VersionSpoiled(SIError):
    """A version's bytes are not those that were published and signed."""

    exit_code = 61


class TreeChanged(SIError):
    """The tree changed while it was being published."""

    exit_code = 62


class ManifestInvalid(SIError):
    """A manifest that cannot be believed."""

    exit_code = 63


class VersionInUse(SIError):
    """The version is the current one."""

    exit_code = 64


class CannotCarry(SIError):
    """The tree has something that a pack cannot carry whole."""

    exit_code = 65


class PushBusy(SIError):
    """Another push is at work on some of the clients."""

    exit_code = 70


class PushNotFound(SIError):
    """No push of that number, or none that could be gone on with."""

    exit_code = 71


class PushSpoiled(SIError):
    """The record of a push cannot be read."""

    exit_code = 72


class UndoImpossible(SIError):
    """There is no update that could be undone here."""

    exit_code = 73
