"""Whose turn it is to get an image from the server itself, and who waits for it, in which place.

Stage 7, one server process. Pure: the time is handed in. A client asks again and again, waiting and
while its image comes; who is silent for SILENT_S seconds has died and is forgotten. Nothing is
kept over a restart: a client whose image was coming says so, and goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

SILENT_S: Final = 45.0


@dataclass(frozen=True, slots=True)
class Turn:
    """The answer to a client. place: in the queue, from 1; 0: its image may come now."""

    place: int
    waiting: int
    """How many wait, itself among them."""
    waited_s: float

    @property
    def has_come(self) -> bool:
        """Whether its image may come now."""
        return self.place == 0


@dataclass(frozen=True, slots=True)
class _Known:
    began: float
    heard: float


class Turns:
    """Clients that get an image, and those that wait, in the order in which they first asked."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._served: dict[str, _Known] = {}
        self._waiting: dict[str, _Known] = {}

    def ask(self, client: str, now: float, *, served: bool) -> Turn:
        """What `client` is to do. `served`: it says that its image is coming already, as it may
        after this server was started anew."""
        self._forget_silent(now)
        began = self._waiting.get(client, _Known(now, now)).began
        if served or client in self._served or self._is_next(client):
            self._waiting.pop(client, None)
            known = self._served.get(client, _Known(now, now))
            self._served[client] = replace(known, heard=now)
            return Turn(0, len(self._waiting), now - began)
        self._waiting[client] = _Known(began, now)
        place = list(self._waiting).index(client) + 1
        return Turn(place, len(self._waiting), now - began)

    def leave(self, client: str) -> None:
        """Its image has come, or it gave up."""
        self._served.pop(client, None)
        self._waiting.pop(client, None)

    def _is_next(self, client: str) -> bool:
        free = self._at_once - len(self._served) if self._at_once else len(self._waiting) + 1
        waiting = list(self._waiting)
        place = waiting.index(client) if client in self._waiting else len(waiting)
        return place < free

    def _forget_silent(self, now: float) -> None:
        for clients in (self._served, self._waiting):
            for client in [name for name, one in clients.items() if now - one.heard > SILENT_S]:
                del clients[client]
