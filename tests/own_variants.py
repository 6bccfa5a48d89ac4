"""Variants of a person's own, for tests of how variants are found, optioned and written down."""

from dataclasses import dataclass
from typing import Any, Literal

import pytest
import torch
from torch import nn

from pixelq.errors import UserError
from pixelq.networks.heads.linear import Head as LinearHead
from pixelq.variants import KINDS, register


@dataclass(frozen=True)
class Many:
    """An option of every type that TOML has."""

    count: int = 3
    kappa: float = 1.0
    greedy: bool = False
    label: str = "a"
    shape: Literal["round", "flat"] = "round"
    sizes: tuple[int, ...] = (1, 2)
    weights: tuple[float, ...] = ()
    bound: float | None = None

    def __post_init__(self) -> None:
        if not self.kappa > 0:
            raise ValueError(f"kappa = {self.kappa} must be above 0")


@dataclass(frozen=True)
class Other:
    """Shares a name with the options of every loss on a TD error."""

    error: float = 0.5
    margin: float = 0.1


class Everything:
    """A variant's part, of every kind."""

    uses_priorities = False

    def nothing(self, *arguments: Any) -> None:
        """What a part must have."""

    forward = values = added = draw = learned = state_dict = load_state_dict = nothing


nothing = Everything


class DropoutHead(LinearHead):
    """Drops a tenth of the features while it learns, by torch's own generator."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.dropout = nn.Dropout(0.1)

    def forward(self, features: torch.Tensor, *given: Any) -> torch.Tensor:
        return super().forward(self.dropout(features), *given)


@pytest.fixture
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a test registers."""
    for kind in KINDS.values():
        monkeypatch.setattr(kind, "_registered", {})


@pytest.fixture
def mine() -> None:
    """A loss and a head of one's own."""
    register("loss", "mine", loss=nothing, Options=Many)
    register("head", "mine", Head=nothing, Options=Other)


def refused(act: Any, *arguments: Any) -> str:
    """The one line with which it is refused."""
    with pytest.raises(UserError) as caught:
        act(*arguments)
    line = str(caught.value)
    assert line
    assert "\n" not in line
    return line
