"""One update: batch -> loss -> gradients -> parameters -> target network; plain, compiled, or as a CUDA graph.

What learns belongs to the loop (`Learner` in `pixelq.loops`), which asks it whatever it likes. What a run asks of it,
whichever loop has it, is below.
"""

from __future__ import annotations

from typing import Any, Protocol

from pixelq.errors import UserError
from pixelq.networks import Network

__all__ = ["Learning", "checked_learner"]


class Learning(Protocol):
    """What a run asks of what learns. It is made as `Learner(network, config, device, noise)`.

    `network` has fresh weights and is on `device`, a torch.device; `config` is the recipe; `noise` is a generator on
    the device, for noisy layers and whatever is drawn while learning.
    """

    network: Network
    """theta, the very one that it was made with: the policy acts with it, and it counts the frames that are observed
    (`network.observe`). In evaluation mode outside of updates."""
    averaged_network: Network
    """What test games are played with and policies are saved of; `network` itself, if there is no average."""
    changes: int
    """How often the weights of either have changed; one that acts looks at it before each agent step."""

    def take_means(self) -> tuple[float, float]:
        """Mean loss and mean Q(s, a), in units of return, of the updates since the last call; NaN if there was none.

        Called every `log_every` agent steps, after `check_finite`.
        """
        ...

    def check_finite(self) -> None:
        """Look at the losses since the last `take_means` and at every weight (waits for the device).

        Called before anything is logged, evaluated or saved, and at the end.

        Raises:
            NotFiniteError: of `pixelq.learner.means`, naming what is NaN or infinite; nothing is saved then.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides future updates: numbers, texts, arrays and tensors, in lists and dictionaries.

        Called at every checkpoint, and copied at once. `network` is `network.state_dict()`, and `averaged_network` that
        of an average that is another network: the live page and test games of a stopped run read these. All else has
        names of its own; `verify` tells a digest of each.
        """
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state made by `state_dict` of a learner with the same recipe, also of the past `noise`.

        Called once, where a run is resumed, before anything is played. It changes `network` in place, and `changes`.

        Raises:
            UserError: it does not fit. A KeyError, TypeError or ValueError is told in one line, too.
        """
        ...

    # A learner may also have
    #
    #     last_batch: Batch | None
    #
    # the batch of the last update, which is kept beside a run that ended with a loss that is not finite;
    #
    #     def start_from(self, weights: dict[str, Tensor], where: str) -> None
    #
    # take over a trained network's weights, everywhere, before the first agent step (`--load`, which is refused
    # without it); raises UserError, with `where`, if they are another network's;
    #
    #     def leave_episodes(self) -> None
    #
    # forget what it keeps of open episodes: a resumed run goes on with new ones.


def checked_learner(learner: Any, loop: str) -> Learning:
    """What a loop's `Learner` has made, if it has what a run asks for.

    Raises:
        UserError: naming what it lacks; `loop` says whose it is.
    """
    asked = [*Learning.__annotations__, *(name for name in vars(Learning) if not name.startswith("_"))]
    if missing := [name for name in asked if not hasattr(learner, name)]:
        raise UserError(
            f"loop {loop!r}: its Learner has no {', '.join(missing)}, which a run asks of it; pixelq.learner.Learning "
            "says what that does"
        )
    found: Learning = learner
    return found
