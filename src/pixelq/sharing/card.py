"""The model card of an export: README.md in the layout of the Hugging Face hub, metadata first.

The metadata's names are the hub's own (its documentation of model cards, "Evaluation results"); the score is written as
its reinforcement-learning cards write it, mean and standard deviation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from pixelq.config import Config
from pixelq.envs import Game, resolve_game
from pixelq.errors import UserError
from pixelq.runs.scores import points
from pixelq.sharing.files import CURVE, EVALUATION, ONNX, TABLES, TORCH_EXPORT, TORCHSCRIPT, VIDEO
from pixelq.sharing.program import Check
from pixelq.viewing.protocol import described

LIBRARY = "pixelq"
METRIC = "mean_reward"
ATARI_ALONE = frozenset(
    {
        *("sticky actions", "a lost life", "start of a game", "observation", "actions", "longest game"),
        *("fire_on_life_loss", "wrapper_openings"),
    }
)
"""Aspects of a protocol that other games do not have, or that their states' shape says."""


@dataclass(frozen=True)
class Facts:
    """What a card tells."""

    name: str
    """Of the model."""
    config: Config
    report: Mapping[str, Any]
    """The evaluation, as in evaluation.json."""
    policy: Mapping[str, Any]
    """Facts of the policy's file; not to be trusted."""
    files: Sequence[str]
    """Names of the export's files."""
    checks: Sequence[Check]
    """Of its programs."""
    observation: str
    """Shape and dtype of a state."""
    actions: int
    license: str | None
    """The hub's name of a licence; None: none was named."""
    repository: str | None
    """Where it is uploaded, `owner/name`; None: not known."""


def model_card(facts: Facts) -> str:
    """README.md: metadata as YAML between two lines of dashes, then the page."""
    parts = [_heading(facts), _use(facts), _scores(facts), _training(facts), _contents(facts), _license(facts)]
    return f"---\n{yaml(metadata(facts))}---\n\n" + "\n\n".join(part.strip() for part in parts if part) + "\n"


def metadata(facts: Facts) -> dict[str, Any]:
    """The block that the hub reads."""
    config, report = facts.config, facts.report
    title = game_title(config)
    atari = _is_atari(config)
    tags = ["reinforcement-learning", "deep-reinforcement-learning", LIBRARY, config.game, config.loss]
    result = {
        "task": {"type": "reinforcement-learning", "name": "reinforcement-learning"},
        "dataset": {"type": config.game, "name": title, "args": protocol_args(facts)},
        "metrics": [{"type": METRIC, "value": score_text(report), "name": METRIC, "verified": False}],
    }
    block: dict[str, Any] = {"library_name": LIBRARY, "pipeline_tag": "reinforcement-learning"}
    if facts.license:
        block["license"] = facts.license
    block["tags"] = list(dict.fromkeys([*tags, "atari"] if atari else tags))
    block["model-index"] = [{"name": facts.name, "results": [result]}]
    return block


def score_text(report: Mapping[str, Any]) -> str:
    """Mean and standard deviation of the games: `20.30 +/- 1.21`; of one game its score."""
    spread = "" if report["std"] is None else f" +/- {report['std']:.2f}"
    return f"{report['mean']:.2f}{spread}"


def protocol_args(facts: Facts) -> dict[str, Any]:
    """What the score was measured with."""
    config, report = facts.config, facts.report
    args: dict[str, Any] = {"episodes": report["episodes"], "epsilon": report["epsilon"], "seed": report["seed"]}
    if _is_atari(config):
        args |= {
            "sticky_actions": config.sticky_actions,
            "frame_skip": config.frame_skip,
            "noop_max": config.noop_max,
            "full_action_set": config.full_action_set,
            "max_frames_per_episode": config.max_frames_per_episode,
        }
    return args


def game_title(config: Config) -> str:
    """The game's name for display; its name as it stands where this machine does not have it."""
    try:
        return resolve_game(config.game).title
    except UserError:
        return config.game


def yaml(value: Any, indent: int = 0) -> str:
    """Nested dictionaries and lists as YAML, in blocks; keys as they are, texts in JSON's quotes."""
    space = "  " * indent
    if isinstance(value, Mapping):
        return "".join(f"{space}{key}:{_below(one, indent + 1)}" for key, one in value.items())
    lines = []
    for one in value:
        if isinstance(one, Mapping | list):
            inner = yaml(one, indent + 1)
            lines.append(f"{space}- {inner[len(space) + 2 :]}")
        else:
            lines.append(f"{space}- {_scalar(one)}\n")
    return "".join(lines)


def _below(value: Any, indent: int) -> str:
    if isinstance(value, Mapping | list) and value:
        return "\n" + yaml(value, indent)
    return f" {_scalar(value)}\n"


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps("".join(c if c.isprintable() else "?" for c in value), ensure_ascii=False)
    text = json.dumps(value)
    if isinstance(value, float) and "e" in text and "." not in text:
        text = text.replace("e", ".0e")  # 1e-05 is a text to YAML, 1.0e-05 a number
    return text


# --- the page ---------------------------------------------------------------------------------------------------------


def plain(text: Any, most: int = 300) -> str:
    """A text from a file for a page: one line, without what Markdown or HTML would take for its own."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(str(text).split()))[:most]
    return "".join(f"&#{ord(c)};" if c in "<>&|`[]!\\" else c for c in line)


def _heading(facts: Facts) -> str:
    config, report = facts.config, facts.report
    interval = ""
    if report["interval_95"] is not None:
        low, high = report["interval_95"]
        interval = f", with a 95% interval of {low:.2f} to {high:.2f},"
    games = f"{report['episodes']:,} whole {'game' if report['episodes'] == 1 else 'games'}"
    parts = f"recipe `{_code(config.recipe)}`, loss `{_code(config.loss)}`, torso `{_code(config.torso)}`"
    text = (
        f"# {plain(facts.name)}\n\n"
        f"An agent that plays **{plain(game_title(config))}**, trained with pixelq ({parts}). It scores "
        f"**{report['mean']:.2f}** points on average{interval} over {games}."
    )
    return text + (f"\n\nA game with the Q-values beside it: [{VIDEO}]({VIDEO})" if VIDEO in facts.files else "")


def _use(facts: Facts) -> str:
    source = f"hf:{facts.repository}" if facts.repository else "FOLDER"
    where = "" if facts.repository else "\n`FOLDER` is the folder or zip with this file, or `hf:owner/name`.\n"
    text = f"""## How to use it

```sh
pip install 'pixelq[hub]'   # or in a checkout of pixelq: pip install -e '.[hub]'
pixelq eval {source}   # whole test games: mean, interval
pixelq record {source}   # a video of a game with the Q-values beside it
```

```python
import pixelq

agent = pixelq.load("{source}")
envs = pixelq.make_envs(agent.config, num_envs=1, seed=0)
observations, _ = envs.reset()
actions = agent.act(observations)
```
{_remembering(facts.config)}{where}
Nothing in these files is executed by that: the weights are safetensors, everything else is text."""
    if ONNX in facts.files:
        text += f"""

Without pixelq and PyTorch, by ONNX Runtime:

```python
import onnxruntime

session = onnxruntime.InferenceSession("{ONNX}")
(q_values,) = session.run(["q_values"], {{"observations": observations}})  # float32 (N, {facts.actions})
actions = q_values.argmax(axis=1)
```

`observations` are {facts.observation}, N of them, prepared as `config.toml` says."""
    if facts.checks:
        text += "\n\nThe programs were held to the policy:\n\n" + "\n".join(f"- {check}." for check in facts.checks)
    return text


def _remembering(config: Config) -> str:
    """How a policy with a memory is played; nothing of others."""
    if config.memory == "none":
        return ""
    return "\nIt remembers what `act` was shown: say `agent.reset(terminated | truncated)` after every step.\n"


def _scores(facts: Facts) -> str:
    report, config = facts.report, facts.config
    interval = report["interval_95"]
    rows = {
        "mean score": f"{report['mean']:.2f} points",
        "95% interval of the mean (bootstrap)": "-" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}",
        "standard deviation, minimum, median, maximum": ", ".join(
            "-" if report[name] is None else points(report[name]) for name in ("std", "min", "median", "max")
        ),
        "whole games": f"{report['episodes']:,}"
        + (f", {report['cut_games']:,} of them cut before their end" if report["cut_games"] else ""),
        "random actions (epsilon)": f"{report['epsilon']:g}",
        "seed of the games": str(report["seed"]),
    }
    if _is_atari(config):
        rows |= {
            "sticky actions": f"{config.sticky_actions:g}",
            "start of a game": plain(described(config)["start of a game"]),
            "frames per agent step": plain(described(config)["frames per agent step"]),
            "actions": plain(described(config)["actions"]),
            "longest game": plain(described(config)["longest game"]),
        }
    if config.env_kwargs:
        rows["settings of the game"] = plain(config.env_kwargs)
    if report["human_normalized"] is not None:
        rows["human-normalized"] = f"{report['human_normalized']:.1%}"
        rows["published: random agent, human"] = f"{report['random_agent_published']}, {report['human_published']}"
    if report["random_agent_measured"] is not None:
        rows["a random agent in the same games"] = f"{report['random_agent_measured']:.2f}"
    chosen = (
        "These games are other ones than those by which the policy was chosen among others of its run. Scores are the "
        f"game's own, unclipped, of whole games. Every game's score is in [{EVALUATION}]({EVALUATION}); measured by "
        f"`{_code(report['measured_by'])}`."
    )
    return "## Evaluation\n\n" + _table("protocol and score", "", rows) + "\n\n" + chosen


def _training(facts: Facts) -> str:
    config = facts.config
    steps = str(facts.policy.get("agent_steps", ""))  # older files have it as text
    known = steps.isascii() and steps.isdecimal() and len(steps) < 16
    told = f"; this policy has seen {int(steps):,} agent steps" if known else ""
    text = f"""## How it was trained

On `{_code(config.game)}`, recipe `{_code(config.recipe)}`, seed {config.seed}{told}. `config.toml` has
every value; what decides what is played and learned:

"""
    if facts.policy.get("imported"):
        text = text.replace("\n\nOn ", f"\n\nImported into pixelq ({plain(facts.policy['imported'])}). On ", 1)
    text += _table("aspect", "here", {plain(name): plain(words) for name, words in _aspects(facts).items()})
    if CURVE in facts.files:
        tables = ", ".join(f"[{name}]({name})" for name in TABLES if name in facts.files)
        text += f"\n\n![Learning curve]({CURVE})\n\nAs numbers: {tables}."
    return text


def _aspects(facts: Facts) -> dict[str, str]:
    """What decides the training, without what the game does not have and options that are not there."""
    words = described(facts.config)
    if not _is_atari(facts.config):
        words = {name: word for name, word in words.items() if name not in ATARI_ALONE}
        words = {"observation": f"{facts.observation}, {facts.actions} actions", **words}
    return {name: word for name, word in words.items() if word not in ("{}", "()", "[]")}


def _contents(facts: Facts) -> str:
    told = {
        TORCH_EXPORT: "a program of torch.export",
        TORCHSCRIPT: "a TorchScript program",
        ONNX: "an ONNX program",
    }
    programs = [f"`{name}` ({what})" for name, what in told.items() if name in facts.files]
    if not programs:
        return ""
    return (
        f"Also here: {', '.join(programs)}, from states ({facts.observation}, any number of them) to Q-values. "
        "Programs are code: load those of people you trust. pixelq reads none of them."
    )


def _license(facts: Facts) -> str:
    stated = (
        f"The weights are under the licence `{_code(facts.license)}`."
        if facts.license
        else "Who exported this named no licence for the weights."
    )
    return f"## License\n\n{stated} Made with pixelq {version('pixelq')} (MIT license)."


def _table(left: str, right: str, rows: Mapping[str, str]) -> str:
    return "\n".join([f"| {left} | {right} |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def _code(text: Any) -> str:
    """A text between backquotes: one line without backquotes."""
    return "".join(c if c.isprintable() and c != "`" else "?" for c in " ".join(str(text).split()))[:200]


def _is_atari(config: Config) -> bool:
    try:
        return isinstance(resolve_game(config.game), Game)
    except UserError:
        return False
