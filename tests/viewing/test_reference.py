import dataclasses

import pytest

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.reading import read_recipe
from pixelq.viewing import reference
from pixelq.viewing.protocol import PUBLISHED
from pixelq.viewing.reference import PublishedScore, read_curves, read_scores, read_shipped_scores, score_differences

CURVES = """\
game,agent,million_frames,mean_return,min_run,max_run,runs
beamrider,DQN,2,600,500,700,5
beamrider,DQN,1,400,300,450,5
beamrider,"Rainbow, full",1,410,310,460,3
pong,DQN,1,-20,-21,-19,5
"""

SCORES = """\
source,algorithm,game,agent_steps,score,spread,protocol
paper,DQN,beam_rider,10000000,4092,,"mean, epsilon 0.05"
paper,DQN,pong,10000000,20,1.5,"same"
docs,DQN,pong,10000000,19,,"training return, no sticky actions"
docs,C51,beam_rider,10000000,9592.9,2270.15,"same"
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "curves.csv").write_text(CURVES)
    (tmp_path / "scores.csv").write_text(SCORES)
    return tmp_path


@pytest.mark.parametrize("game", ["beam_rider", "BeamRider", "ALE/BeamRider-v5"])
def test_a_game_is_found_whatever_its_name_is_written_like(files, game):
    assert list(read_curves(files / "curves.csv", game)) == ["DQN", "Rainbow, full"]
    assert [score.algorithm for score in read_scores(files / "scores.csv", game)] == ["DQN", "C51"]


def test_a_shipped_agent_is_told_with_its_source_once_and_a_strangers_by_its_name(files):
    assert read_curves(PUBLISHED / "dopamine_curves.csv", "pong")["DQN"].label == "Dopamine's DQN"
    assert read_curves(PUBLISHED / "cleanrl_curves.csv", "pong")["CleanRL DQN"].label == "CleanRL DQN"
    assert read_curves(files / "curves.csv", "pong")["DQN"].label == "DQN"


def test_shipped_scores_are_those_of_every_file_of_scores(files, monkeypatch):
    monkeypatch.setattr(reference, "PUBLISHED", files)
    (files / "published_scores.csv").write_text(SCORES)
    (files / "other_scores.csv").write_text(SCORES.replace("paper", "another paper"))
    sources = [score.source for score in read_shipped_scores("pong")]
    assert sources == ["another paper", "docs", "paper", "docs"]


def test_a_curve_is_sorted_by_frames(files):
    curve = read_curves(files / "curves.csv", "beam_rider")["DQN"]
    assert curve.million_frames.tolist() == [1, 2]
    assert (curve.mean.tolist(), curve.low.tolist(), curve.high.tolist()) == ([400, 600], [300, 500], [450, 700])
    assert curve.runs == 5


def test_the_protocol_same_is_written_out(files):
    pong = read_scores(files / "scores.csv", "pong")
    assert [(s.score, s.spread, s.protocol) for s in pong] == [
        (20.0, 1.5, "mean, epsilon 0.05"),
        (19.0, None, "training return, no sticky actions"),
    ]
    assert read_scores(files / "scores.csv", "beam_rider")[1].protocol == "training return, no sticky actions"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("game,agent\npong,DQN\n", "line 1: column 'million_frames' is missing"),
        (CURVES + "pong,DQN,2,x,-21,-19,5\n", "line 6: mean_return = 'x' is not a number"),
        (CURVES + "pong,DQN,2,nan,-21,-19,5\n", "line 6: mean_return = 'nan' is not a number"),
        (CURVES + "pong,DQN,2\n", "line 6: not 7 values"),
        (CURVES + "pong,DQN,2,1,1,1,5,9\n", "line 6: not 7 values"),
        (CURVES.replace("pong", "enduro"), "no curve of pong"),
        ('game,agent\n"pong', "cannot be read as CSV"),
    ],
)
def test_a_damaged_reference_is_refused_by_its_name_and_line(tmp_path, text, message):
    file = tmp_path / "curves.csv"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        read_curves(file, "pong")
    assert str(file) in str(caught.value)
    assert message in str(caught.value)


def test_a_missing_reference_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_curves(tmp_path / "absent.csv", "pong")


@pytest.mark.parametrize(
    ("sticky", "text", "expected"),
    [
        (0.25, "training return, sticky actions", []),
        (0.0, "training return, no sticky actions", []),
        (0.25, "training return, no sticky actions", ["no sticky actions, not 0.25"]),
        (0.25, "training return", ["sticky actions not stated, here 0.25"]),
        (0.0, "mean, epsilon 0.05", ["test games at epsilon 0.05"]),
        (0.0, "best of one run", ["training or test games: not stated", "the best, not the mean"]),
    ],
)
def test_a_published_score_is_told_apart_from_a_runs_training_games(sticky, text, expected):
    score = PublishedScore("paper", "DQN", 10_000_000, 1.0, None, text)
    found = score_differences(dataclasses.replace(Config(), sticky_actions=sticky), score)
    assert found == [*expected, "its other settings are not known here"]


def test_a_score_of_a_known_recipe_is_of_the_same_protocol_only_where_every_setting_is():
    score = PublishedScore("docs", "DQN", 10_000_000, 1.0, None, "training return, no sticky actions", "cleanrl")
    cleanrl = read_recipe("cleanrl")
    assert score_differences(cleanrl, score) == []
    other = dataclasses.replace(cleanrl, precision="bf16", num_envs=4, target_every=500)
    assert score_differences(other, score) == ["precision, environments, target network (see recipe cleanrl)"]
    sticky = dataclasses.replace(cleanrl, sticky_actions=0.25)
    assert score_differences(sticky, score) == ["no sticky actions, not 0.25"]
    unstated = dataclasses.replace(score, protocol="training return")
    assert score_differences(sticky, unstated) == ["sticky actions (see recipe cleanrl)"]


def test_a_recipe_that_there_is_not_is_refused_by_its_line(tmp_path):
    file = tmp_path / "scores.csv"
    header, first = SCORES.splitlines()[:2]
    file.write_text(f"{header},recipe\n{first},nature2014\n")
    with pytest.raises(UserError, match=r"scores\.csv line 2: recipe = 'nature2014'"):
        read_scores(file, "beam_rider")


def test_the_scores_that_ship_name_the_recipe_of_their_source_where_there_is_one():
    games = ("pong", "breakout", "CartPole-v1")
    shipped = [score for game in games for score in read_scores(PUBLISHED / "published_scores.csv", game)]
    assert {score.source: score.recipe for score in shipped if score.recipe} == {
        "Mnih et al. 2013 (arXiv 1312.5602) table 1": "nips2013",
        "Mnih et al. 2015 (Nature)": "nature2015",
        "CleanRL docs, dqn_atari.py": "cleanrl",
        "CleanRL docs, c51_atari.py": "cleanrl-c51",
        "CleanRL docs, pqn_atari_envpool.py": "cleanrl-pqn",
        "CleanRL docs, pqn_atari_envpool_lstm.py": "cleanrl-pqn-lstm",
    }
    assert {score.source.split()[0] for score in shipped if not score.recipe} == {
        "CleanRL",
        "Tianshou",
        "rl-baselines3-zoo",
    }
