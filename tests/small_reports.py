"""Reports for tests: runs whose curves a test chooses, and the page of a folder."""

import dataclasses
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from pixelq.config import Config
from pixelq.recipes.reading import write_config
from pixelq.report_page.page import Settings, report
from pixelq.viewing.reference_choice import Choice

PROGRESS = (
    *("agent_steps", "frames", "episodes", "updates", "mean_score_100", "loss", "mean_q", "epsilon"),
    *("learning_rate", "agent_steps_per_second", "seconds"),
)


def written_run(folder: Path, scores: list[float], *, every: int = 1000, **config: Any) -> Path:
    """A run as `pixelq train` leaves it: a game ends each `every` agent steps, 100 agent steps a second."""
    folder.mkdir(parents=True)
    write_config(dataclasses.replace(Config(), **config), folder / "config.toml")
    steps = [(i + 1) * every for i in range(len(scores))]
    games = [f"{n},0,{score},{every},{n / 100}" for n, score in zip(steps, scores, strict=True)]
    (folder / "episodes.csv").write_text("\n".join(["agent_step,environment,score,length,seconds", *games, ""]))
    rows = [f"{n},{4 * n},1,{n},{s},0.5,1.25,0.1,0.0001,100,{n / 100}" for n, s in zip(steps, scores, strict=True)]
    (folder / "progress.csv").write_text("\n".join([",".join(PROGRESS), *rows, ""]))
    tests = [f"{steps[-1]},10,7.5,1,6,9,7"] if steps else []
    (folder / "evaluations.csv").write_text("\n".join(["agent_steps,episodes,mean,std,min,max,median", *tests, ""]))
    return folder


def page_of(folder: Path, choice: Choice | None = None, videos_limit: int = 10**6) -> str:
    """The report of a folder."""
    return report(folder, Settings(choice or Choice(), videos_limit))[0]


class Parsed(HTMLParser):
    """A page taken apart: its elements with their attributes, its text, and the cells of its tables."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.rows: list[list[str]] = []
        self._inside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "input", "img"):
            self._inside.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._inside.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._inside and self._inside[-1] in ("script", "style"):
            return
        self.text += data
        if {"td", "th"} & set(self._inside):
            self.rows[-1][-1] += data

    @property
    def closed(self) -> bool:
        """Whether every element that was opened was closed."""
        return not self._inside

    def attributes(self, tag: str, name: str) -> list[str]:
        """The values of an attribute of all elements of a kind."""
        return [value for found, values in self.elements if found == tag and (value := values.get(name)) is not None]
