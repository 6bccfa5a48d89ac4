import dataclasses

import pytest

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.reading import read_recipe
from pixelq.viewing.reference import PublishedScore, protocol, read_curves, read_scores, score_differences

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

DOPAMINE = read_recipe("dopamine")


@pytest.fixture
def files(tmp_path):
    (tmp_path / "curves.csv").write_text(CURVES)
    (tmp_path / "scores.csv").write_text(SCORES)
    return tmp_path


@pytest.mark.parametrize("game", ["beam_rider", "BeamRider", "ALE/BeamRider-v5"])
def test_a_game_is_found_whatever_its_name_is_written_like(files, game):
    assert list(read_curves(files / "curves.csv", game)) == ["DQN", "Rainbow, full"]
    assert [score.algorithm for score in read_scores(files / "scores.csv", game)] == ["DQN", "C51"]


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


def test_the_recipe_dopamine_differs_from_dopamine_in_nothing():
    assert [aspect.name for aspect in protocol(DOPAMINE, seeds=5) if aspect.differs] == []


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"sticky_actions": 0.0}, "sticky actions", "0"),
        ({"epsilon_end": 0.1}, "epsilon while training", "1 to 0.1 over 250,000 agent steps, after 20,000 at 1"),
        ({"epsilon_begin": 0}, "epsilon while training", "1 to 0.01 over 250,000 agent steps"),
        ({"epsilon_schedule": "constant", "epsilon_start": 0.04}, "epsilon while training", "0.04 throughout"),
        ({"life_loss_ends_target": True}, "a lost life", "ends the target"),
        ({"noop_max": 30}, "start of a game", "up to 30 no-op frames"),
        ({"opening_fire_max": 30}, "start of a game", "FIRE held for 1 to 30 agent steps"),
        ({"frame_skip": 3, "max_pool": False}, "frames per agent step", "3"),
        ({"grayscale": False}, "observation", "4 colour frames of 84x84"),
        ({"full_action_set": True}, "actions", "all 18"),
        ({"max_frames_per_episode": 18_000}, "longest game", "18,000 frames"),
        ({"padding": "valid"}, "network", "torso 2015, padding valid, norm none, head linear"),
        ({"norm": "layer"}, "network", "torso 2015, padding same, norm layer, head linear"),
        ({"initialisation": "torch"}, "initial weights", "torch"),
        ({"precision": "bf16"}, "precision", "bf16"),
        ({"num_envs": 4}, "environments", "4"),
        ({"learning_rate_end": 0.0}, "optimizer", "adam 6.25e-05 to 0, eps 0.00015"),
        ({"optimizer_eps": 1e-8}, "optimizer", "adam 6.25e-05, eps 1e-08"),
    ],
)
def test_each_difference_in_protocol_is_named(change, name, words):
    differing = [a for a in protocol(dataclasses.replace(DOPAMINE, **change), seeds=5) if a.differs]
    assert (name, words) in [(a.name, a.run) for a in differing]
    assert {a.name for a in differing} == {name}


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
    assert score_differences(dataclasses.replace(Config(), sticky_actions=sticky), score) == expected
