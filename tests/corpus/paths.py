"""Paths whose files do to the process that reads them what a hostile file may do to a library."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from sift_rag.corpus.more_time import ask_for
from sift_rag.errors import MissingExtra


class _Strange(type(Path())):  # type: ignore[misc] # Path itself cannot be inherited from before Python 3.12
    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        self.act()
        return super().stat(follow_symlinks=follow_symlinks)

    def act(self) -> None:
        raise NotImplementedError


class Slow(_Strange):
    def act(self) -> None:
        time.sleep(600)


class SlowButAsking(_Strange):
    """Takes longer than three seconds, and asks for the time first, a part at a time."""

    def act(self) -> None:
        for _ in range(8):
            ask_for(1)
            time.sleep(0.5)


class AskingTooLittle(_Strange):
    def act(self) -> None:
        ask_for(0.25)
        time.sleep(600)


class Crashing(_Strange):
    def act(self) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)


class Greedy(_Strange):
    def act(self) -> None:
        bytearray(8 << 30)


class Broken(_Strange):
    def act(self) -> None:
        raise ZeroDivisionError("a defect")


class Lacking(_Strange):
    def act(self) -> None:
        raise MissingExtra("reader", "office")


class Chatty(_Strange):
    def act(self) -> None:
        sys.stdout.write("a library prints\n")
        os.write(1, b"and so does its C code\n")


class Telling(_Strange):
    """Writes down which process reads it, and then takes long."""

    def act(self) -> None:
        with self.with_name(f"{self.name}.pid").open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(600 if self.name.startswith("long") else 0)


class _StrangeWhenRead(_Strange):
    """Acts in the child process only: elsewhere its state is asked for too."""

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        if "sift_rag.corpus.ingest" in sys.modules:
            return Path(self).stat(follow_symlinks=follow_symlinks)
        return super().stat(follow_symlinks=follow_symlinks)


class TellingWhenRead(_StrangeWhenRead, Telling):
    pass


class Late(_StrangeWhenRead):
    def act(self) -> None:
        time.sleep(0.5)
