"""The process that plays one run for the page: commands come on stdin, pictures go to stdout.

Started as `python -m pixelq.web.player_process RUN SETTINGS` by `player_link.py`. It ends when stdin ends, so never
later than the server.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

from pixelq.errors import UserError
from pixelq.web.cpu_budget import CpuBudget
from pixelq.web.messages import packed, replace_older

LOOK_EVERY = 2.0
"""Seconds between looks for a newer policy."""
RETRY_EVERY = 5.0
"""Seconds until a run that could not be opened is tried again."""
FREE_SHARE = 0.8
"""Of one core, where nothing trains."""
SALIENCY_PART = 0.4
"""Of the share, for what the policy looks at; the rest is the game's."""
SALIENCY_PAUSE = 0.25
"""Seconds between two maps, at least."""
FREE_RATE = 30.0
"""Pictures per second, at most, where nothing trains."""
FURTHER_NICENESS = 10
"""Added when the game is open. Loading takes some seconds of processor time, once; at the lowest priority beside a
training that uses all cores it would take minutes."""


class Commands:
    """Reads commands from stdin in a thread of its own; ends the process when there are no more.

    Of those that are not obeyed yet the newest of each name is kept.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Any] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            with self._changed:
                replace_older(self._waiting, json.loads(line))
                self._changed.notify()
        os._exit(0)  # the server is gone, or wants no more pictures; nothing is to be saved

    def within(self, seconds: float) -> dict[str, Any]:
        """The commands that wait, by name, the oldest first; where there are none, waits at most so long for one."""
        with self._changed:
            if not self._waiting and seconds > 0:
                self._changed.wait(seconds)
            taken, self._waiting = self._waiting, {}
        return taken


class Broadcast:
    """Plays a run at the pace that is wanted, within the processor time that is granted, and sends what is seen.

    Args:
        player: a `LivePlayer`.
        commands: see `Commands`.
        out: where messages go.
        share: of one core, while a run trains on this machine.
        rate: most pictures per second, while a run trains.
    """

    def __init__(self, player: Any, commands: Commands, out: BinaryIO, share: float, rate: float) -> None:
        self._player, self._commands, self._out = player, commands, out
        self._share, self._rate = share, rate
        self._paused, self._one_step, self._speed, self._saliency = False, False, 1.0, "perturbation"
        self._training = True
        self._stale = self._map_owed = False  # whether a command wants a picture, and a map while the game is paused
        self._game, self._looking = CpuBudget(1), CpuBudget(1)
        self._grant()
        self._shown_at = self._mapped_at = self._looked_at = -1e9
        self._due = time.monotonic()

    def run(self) -> None:
        """Play until stdin ends."""
        self._send(self._player.introduction(), [])
        self._player.look_for_policy()
        self._looked_at = time.monotonic()
        self._player.decide()
        self._show()
        while True:
            self._obey(self._commands.within(self._rest()))
            now = time.monotonic()
            if now - self._looked_at > LOOK_EVERY:
                self._look_for_policy(now)
            if self._stale and now >= self._shown_at + 1 / self._most_rate:
                self._show_again()
            if self._one_step or (not self._paused and now >= self._due and not self._game.wait()):
                self._play_one_step()
            elif self._map_is_due(now):
                self._map()

    def _rest(self) -> float:
        """Seconds until something is to be done."""
        now = time.monotonic()
        if self._one_step:
            return 0.0
        rest = LOOK_EVERY - (now - self._looked_at)
        if not self._paused:
            rest = min(rest, max(self._due - now, self._game.wait()))
        if self._wants_map:
            rest = min(rest, max(self._looking.wait(), self._mapped_at + SALIENCY_PAUSE - now))
        if self._stale:
            rest = min(rest, self._shown_at + 1 / self._most_rate - now)
        return max(rest, 0.001)

    def _obey(self, commands: dict[str, Any]) -> None:
        """Do what is cheap at once; pictures and maps are made in turn, so that no clicks pile them up."""
        for name, value in commands.items():
            self._change(name, value)
        self._map_owed &= self._paused

    def _change(self, name: str, value: Any) -> None:
        player = self._player
        self._stale |= name in ("paused", "speed", "saliency", "policy", "show")
        self._map_owed |= name in ("paused", "saliency", "show")
        if name == "paused":
            self._paused, self._due = value, time.monotonic()
        elif name == "step":
            self._paused = self._one_step = True
        elif name == "speed":
            self._speed = value
        elif name == "training":
            self._training = value
            self._grant()
        elif name == "hold":
            player.held = value if value is None or value < player.envs.single_action_space.n else None
        elif name == "saliency":
            self._saliency = value
        elif name == "policy":
            player.which = value
            self._look_for_policy(time.monotonic())
        elif name == "show":  # somebody new is looking
            self._send(player.introduction(), [])

    @property
    def _most_rate(self) -> float:
        """Pictures per second, at most."""
        return self._rate if self._training and self._player.held is None else FREE_RATE

    @property
    def _wants_map(self) -> bool:
        """Whether a map is to be made when there is time for it: while the game is paused one of each state."""
        return self._saliency != "off" and (not self._paused or self._map_owed)

    def _grant(self) -> None:
        share = self._share if self._training else FREE_SHARE
        self._game.share, self._looking.share = share * (1 - SALIENCY_PART), share * SALIENCY_PART

    def _look_for_policy(self, now: float) -> None:
        self._looked_at = now
        began = time.process_time()
        if self._player.look_for_policy() and self._paused:
            self._player.decide()
            self._stale = self._map_owed = True
        self._game.spend(time.process_time() - began)

    def _play_one_step(self) -> None:
        began = time.process_time()
        self._player.act()
        self._player.decide()
        now = time.monotonic()
        if self._one_step or now - self._shown_at >= 1 / self._most_rate - 0.002:
            self._show()
        self._map_owed |= self._one_step
        self._one_step = False
        self._game.spend(time.process_time() - began)
        self._due = max(self._due + 1 / (self._player.pace * self._speed), now - 0.1)

    def _map_is_due(self, now: float) -> bool:
        return self._wants_map and not self._looking.wait() and now - self._mapped_at >= SALIENCY_PAUSE

    def _map(self) -> None:
        """Send the state that was just decided upon, with what the policy looks at in it."""
        began = time.process_time()
        self._show()
        self._send(*self._player.saliency(self._saliency))
        self._map_owed = False
        self._mapped_at = time.monotonic()
        self._looking.spend(time.process_time() - began)

    def _show_again(self) -> None:
        """Send the current state because of a command."""
        began = time.process_time()
        self._show()
        self._game.spend(time.process_time() - began)

    def _show(self) -> None:
        """Send the current state."""
        header, blobs = self._player.moment()
        self._shown_at, self._stale = time.monotonic(), False
        settings = {"paused": self._paused, "speed": self._speed, "saliency": self._saliency}
        late = not self._paused and self._due < self._shown_at - 0.05
        slowed = ("training" if self._training else "machine") if late else ""
        self._send(header | settings | {"which": self._player.which, "slowed": slowed}, blobs)

    def _send(self, header: dict[str, Any], blobs: list[bytes]) -> None:
        send(self._out, header, blobs)


def send(out: BinaryIO, header: dict[str, Any], blobs: list[bytes]) -> None:
    """Write one message, with its length in front."""
    message = packed(header, blobs)
    out.write(struct.pack(">I", len(message)) + message)
    out.flush()


def main(argv: list[str]) -> None:
    """Play the run that `argv` names."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a game prints must not get between the messages
    run, settings = Path(argv[0]), json.loads(argv[1])
    commands, yielding = Commands(), False
    while True:
        try:
            import torch  # after the thread that ends this process with its stdin

            torch.set_num_threads(1)
            from pixelq.envs.gymnasium_games import import_typed
            from pixelq.web.player import LivePlayer

            for module in settings["modules"]:
                import_typed(module)
            player = LivePlayer(run, settings["seed"])
            if hasattr(os, "nice") and not yielding:
                os.nice(FURTHER_NICENESS)
                yielding = True
            try:
                Broadcast(player, commands, out, settings["share"], settings["rate"]).run()
            finally:
                player.close()
        except BrokenPipeError:
            os._exit(0)
        except Exception as error:  # of a damaged run or a stranger's game; the page says it, and it is tried again
            reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            send(out, {"kind": "trouble", "text": reason.partition("\n")[0][:400], "parts": []}, [])
        time.sleep(RETRY_EVERY)


if __name__ == "__main__":
    main(sys.argv[1:])
