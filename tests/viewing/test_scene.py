import dataclasses

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.networks import build_network
from pixelq.networks.observations import likely_observations
from pixelq.policy import Agent
from pixelq.viewing.distribution_panel import WIDTH as RETURNS_WIDTH
from pixelq.viewing.q_panel import WIDTH
from pixelq.viewing.scene import CAPTION, Choice, Look, Moment, Scene, usual_scale

CONFIG = dataclasses.replace(Config(), game="breakout", torso="2013", screen_size=36)
SPACE = likely_observations(CONFIG)
CYAN = np.array([0, 235, 255])


class Shown:
    height, width, action_names, seen = 210, 160, ["NOOP", "FIRE", "RIGHT", "LEFT"], (0.0, 0.0, 1.0, 1.0)
    flickers = True


def agent_of(space=SPACE, **fields):
    config = dataclasses.replace(CONFIG, **fields)
    return Agent(build_network(config, space, 4, torch.Generator().manual_seed(0)), config, torch.device("cpu"))


def scene_of(agent=None, shown=None, space=SPACE, look=None, **options):
    options = {"caption": "", "scale": 2, "epsilon": 0.01, "together": 2} | options
    return Scene(agent or agent_of(), shown or Shown(), space, look or Look(), **options)


def moment_of(*screens, space=SPACE, score=3.0, values=(0.0, 1.0, 2.0, 3.0)):
    state = np.random.default_rng(1).integers(0, 256, space.shape, np.uint8)
    return Moment(state, list(screens), Choice(np.array(values, np.float32), 3, True), score)


def grey(level):
    return np.full((210, 160, 3), level, np.uint8)


def pictures(scene, moment, step=1):
    return [picture.copy() for picture in scene.pictures(moment, step)]


def test_several_screens_make_one_picture_the_brighter_of_the_last_two():
    scene = scene_of(together=3)
    (picture,) = pictures(scene, moment_of(grey(250), grey(40), grey(90), grey(10)))
    assert (picture[:420, :320] == 90).all()
    (rest,) = scene.last()
    assert (rest[:420, :320] == 10).all()
    assert list(scene.last()) == []


def test_a_picture_of_a_game_that_does_not_flicker_shows_one_state_alone():
    class Still(Shown):
        flickers = False

    (picture,) = pictures(scene_of(shown=Still()), moment_of(grey(250), grey(90)))
    assert (picture[:420, :320] == 90).all()


def test_the_values_of_a_state_stand_beside_its_own_picture_and_those_before_it_beside_the_way_there():
    scene, alone = scene_of(), scene_of()
    panels = [
        alone.first(moment_of(grey(0), values=values), step)[:, 320:].copy()
        for step, values in enumerate([(9.0, 0.0, 0.0, 0.0), (0.0, 9.0, 0.0, 0.0)])
    ]
    begin = scene.first(moment_of(grey(200), grey(90), grey(10), values=(9.0, 0.0, 0.0, 0.0)), 0).copy()
    assert (begin[:420, :320] == 90).all()  # what came before the video is not in it
    np.testing.assert_array_equal(begin[:, 320:], panels[0])
    second = moment_of(grey(20), grey(30), grey(40), grey(50), values=(0.0, 9.0, 0.0, 0.0))
    on_the_way, there = pictures(scene, second)
    assert ((on_the_way[:420, :320] == 30).all(), (there[:420, :320] == 50).all()) == (True, True)
    np.testing.assert_array_equal(on_the_way[:, 320:], panels[0])
    np.testing.assert_array_equal(there[:, 320:], panels[1])


def test_the_last_state_has_its_picture_and_no_values_returns_or_saliency():
    scene = scene_of(agent_of(head="categorical", loss="c51"), look=Look(saliency="gradient"))
    pictures(scene, moment_of(grey(100), grey(100)))
    (last,) = pictures(scene, Moment(moment_of().observation, [grey(50), grey(60)], None, 4.0), 2)
    assert (last[:420, :320] == 60).all()
    assert not (last[92:300, 320:] == np.array([76, 106, 146])).all(axis=2).any()  # bars


def test_what_is_shown_stands_side_by_side_and_the_caption_below():
    bare = scene_of(look=Look(values=False))
    assert (bare.height, bare.width) == (420 + CAPTION, 320)  # its score needs a line
    assert (scene_of().height, scene_of().width) == (420, 320 + WIDTH)
    assert scene_of(caption="whose").height == 420 + CAPTION
    viewed = scene_of(look=Look(view=True))
    assert viewed.width > 320 + WIDTH + 100
    returns = scene_of(agent_of(head="categorical", loss="c51"))
    assert returns.width == 320 + WIDTH + RETURNS_WIDTH
    (picture,) = pictures(returns, moment_of(grey(0), grey(0)))
    assert len(np.unique(picture[:, -RETURNS_WIDTH:].reshape(-1, 3), axis=0)) > 5


@pytest.mark.parametrize("kind", ["gradient", "perturbation"])
def test_saliency_is_brightest_where_the_policy_looks(kind):
    """A network whose first layer reads one corner alone."""
    agent = agent_of()
    agent.network.q_values = lambda states, *_: (
        states[:, :, :12, :12].float().mean(dim=(1, 2, 3))[:, None] * torch.ones(4)
    )
    scene = scene_of(agent, look=Look(saliency=kind))
    (picture,) = pictures(scene, moment_of(grey(100), grey(100)))
    near = np.abs(picture[:420, :320].astype(int) - CYAN).sum(axis=2)
    brightest = np.argwhere(near < near.min() + 30)
    assert (brightest < [180, 140]).all()
    assert (picture[250:420, 200:320] == 100).all()


def test_saliency_of_a_game_whose_picture_shows_something_else_is_drawn_over_the_agents_view():
    class Other(Shown):
        seen = None

    scene = scene_of(shown=Other(), look=Look(saliency="gradient"))
    assert scene.width == scene_of(look=Look(view=True)).width
    (picture,) = pictures(scene, moment_of(grey(100), grey(100)))
    assert (picture[:420, :320] == 100).all()
    (plain,) = pictures(scene_of(look=Look(view=True)), moment_of(grey(100), grey(100)))
    assert (picture[:, 320:-WIDTH] != plain[:, 320:-WIDTH]).any()


def test_a_part_of_the_picture_is_covered_where_the_observations_show_a_part():
    class Part(Shown):
        seen = (0.0, 0.5, 0.5, 0.5)

    (picture,) = pictures(scene_of(shown=Part(), look=Look(saliency="gradient")), moment_of(grey(100), grey(100)))
    changed = (picture[:420, :320] != 100).any(axis=2)
    assert changed[:210, 160:].mean() > 0.2
    assert not changed[210:].any()
    assert not changed[:, :160].any()


def test_saliency_of_numbers_or_of_something_without_a_network_is_refused_in_one_line():
    vectors = Box(-1, 1, (1, 5), np.float32)
    with pytest.raises(UserError, match="5 numbers; leave --saliency out"):
        scene_of(agent_of(vectors, torso="mlp", torso_options={}), space=vectors, look=Look(saliency="gradient"))
    with pytest.raises(UserError, match="this policy has none"):
        scene_of(type("Player", (), {"config": CONFIG})(), look=Look(saliency="gradient"))


def test_a_game_that_is_over_is_darker_and_says_so_with_its_score():
    scene = scene_of(look=Look(values=False), caption="one of several")
    (playing,) = pictures(scene, moment_of(grey(90), grey(90), score=12.0))
    ended = scene.ended()
    assert (ended[:420] == 30).all()
    assert (ended[420 + CAPTION :] != playing[420 + CAPTION :]).any()
    np.testing.assert_array_equal(ended[420 : 420 + CAPTION], playing[420 : 420 + CAPTION])


def test_a_caption_without_a_panel_shows_the_score_so_far():
    scene = scene_of(look=Look(values=False))
    (three,) = pictures(scene, moment_of(grey(0), grey(0), score=3.0))
    (four,) = pictures(scene, moment_of(grey(0), grey(0), score=4.0))
    assert (three[420:] != four[420:]).any()
    np.testing.assert_array_equal(three[:420], four[:420])


def test_a_large_picture_is_made_smaller_in_a_grid_and_a_small_one_larger_everywhere():
    class Large(Shown):
        height, width = 400, 600

    class Tiny(Shown):
        height, width = 10, 10

    assert (usual_scale(Large(), False), usual_scale(Large(), False, 210)) == (1, 0.5)
    assert (usual_scale(Tiny(), False), usual_scale(Tiny(), False, 210)) == (42, 21)
    scene = scene_of(shown=Large(), look=Look(values=False), scale=0.5)
    screen = np.zeros((400, 600, 3), np.uint8)
    screen[::2] = 200
    (picture,) = pictures(scene, moment_of(screen, screen))
    assert (picture[:200, :300] == 100).all()
