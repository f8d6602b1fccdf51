"""The process that workers are forked from: what they need is loaded once, and shared by all of them.

It has no threads and no event loop, which a fork would not survive. The server asks it for each worker over a socket,
with the worker's ends of its wires; it answers with the worker's number, and tells how each worker ended.
"""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from realtime_agent.config import Settings

__all__ = ["FORK", "FORK_IDLE", "MAX_MESSAGE", "ForkOrder", "Main", "main"]

MAX_MESSAGE = 1024
"""Bytes of one message on the socket, which are words such as `forked 4711`."""

FORK, FORK_IDLE = b"fork", b"fork idle"
"""What the server asks for: a worker whose agent waits already, or one that is to wait for its agent."""

_WIRES = 2


Prepare = Callable[[Settings], None]
"""What all workers share is made by it, before the first is forked; it may begin no thread."""

Main = Callable[[Settings, socket.socket, socket.socket, int, bool], None]
"""What a worker does; `fleet.worker.run_worker` says with what."""


@dataclass(frozen=True)
class ForkOrder:
    """What the fork server is told when it starts, over its standard input, since there are secrets in it.

    Attributes:
        preload: The modules that every worker finds loaded.
        prepare: Makes what every worker finds made.
        run: What a worker does.
        settings: What it is given.
    """

    preload: Sequence[str]
    prepare: Prepare
    run: Main
    settings: Settings


def main(order: BinaryIO, control_fd: int, lifeline: int) -> None:
    """Load what workers need, and fork them until the server is gone.

    Args:
        order: Has the pickled `ForkOrder`.
        control_fd: The socket on which the server asks.
        lifeline: The reading end of a pipe that ends with the server.
    """
    # Ctrl-C reaches the whole process group; the server decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A collection in a worker would write into every object that it visits, and so copy the page it is on. Without
    # collections while modules are loaded, no holes are left in pages either, which workers would fill.
    gc.disable()
    for fd in (control_fd, lifeline):
        os.set_inheritable(fd, False)
    told: ForkOrder = pickle.load(order)  # noqa: S301 - the server's own
    for name in told.preload:
        importlib.import_module(name)
    told.prepare(told.settings)
    gc.freeze()
    with socket.socket(fileno=control_fd) as control:
        _ForkServer(control, lifeline, told).run()


class _ForkServer:
    def __init__(self, control: socket.socket, lifeline: int, order: ForkOrder) -> None:
        self._control = control
        self._lifeline = lifeline
        self._order = order
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        self._tell("ready")
        while True:
            readable, _, _ = select.select([self._control.fileno(), self._woken], [], [])
            if self._woken in readable:
                os.read(self._woken, MAX_MESSAGE)
                self._collect()
            if self._control.fileno() in readable:
                asked, wires, _, _ = socket.recv_fds(self._control, MAX_MESSAGE, _WIRES)
                if not asked:
                    return  # the server is gone
                self._fork(wires, is_idle=asked == FORK_IDLE)

    def _fork(self, wires: Sequence[int], *, is_idle: bool) -> None:
        try:
            # One that did not fit in here has not come.
            pid = os.fork() if len(wires) == _WIRES else None
        except OSError as error:
            self._tell(f"failed {error.strerror or error}")
        else:
            if pid == 0:
                self._be_worker(wires, is_idle)
            self._tell(f"forked {pid}" if pid else "failed no descriptors are left")
        finally:
            for wire in wires:
                os.close(wire)

    def _be_worker(self, wires: Sequence[int], is_idle: bool) -> None:
        """What the fork does; it never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # The server sees by the end of this socket that the fork server is gone.
            self._control.close()
            os.close(self._woken)
            os.close(self._wake)
            gc.enable()
            link, connections = (socket.socket(fileno=wire) for wire in wires)
            self._order.run(self._order.settings, link, connections, self._lifeline, is_idle)
            code = 0
        except BaseException:  # noqa: BLE001 - nothing may come back into the fork server's loop
            traceback.print_exc()
        finally:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _collect(self) -> None:
        """Tell of every worker that has ended."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                self._tell(f"ended {pid} {os.waitstatus_to_exitcode(status)}")

    def _tell(self, words: str) -> None:
        # To a server that is gone it is lost.
        with suppress(ConnectionError):
            self._control.send(words.encode())
