"""Heads of distributions: values, what they say for pictures, first weights, counts of the sources, streams."""

import math

import pytest
import torch

from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.networks import build_network
from pixelq.networks.heads.implicit_quantile import Head, Options
from pixelq.networks.heads.quantile import midpoints
from pixelq.networks.layers import Layers
from pixelq.networks.linear.plain import Linear
from pixelq.recipes.reading import read_recipe
from small_networks import SPACES, images, network, states

HEADS = ["categorical", "quantile", "implicit_quantile"]


def parameters(recipe, actions=6, **fields):
    config = read_recipe(recipe)
    made = build_network(config, images(4, 84, 84), actions, torch.Generator().manual_seed(1))
    return sum(p.numel() for p in made.parameters())


def layer(inputs, outputs, kernel=1):
    """Weights and biases of a layer, as the sources' code has it."""
    return (inputs * kernel * kernel + 1) * outputs


def torso(side):
    """The three convolutions of 84x84x4, and the positions x channels that come out: 7 alone, 11 with zeros around."""
    return layer(4, 32, 8) + layer(32, 64, 4) + layer(64, 64, 3), 64 * side * side


@pytest.mark.parametrize("actions", [4, 6])
def test_the_weights_are_as_many_as_in_the_sources_code(actions):
    valid, features = torso(7)
    same, more_features = torso(11)
    for recipe in ("c51", "cleanrl-c51", "hl-gauss"):
        convolutions, d = (same, more_features) if recipe == "hl-gauss" else (valid, features)
        assert parameters(recipe, actions) == convolutions + layer(d, 512) + layer(512, 51 * actions)
    assert parameters("qr-dqn", actions) == valid + layer(features, 512) + layer(512, 200 * actions)
    # dopamine/jax/networks.py: RainbowNetwork, QuantileNetwork, ImplicitQuantileNetwork; Flax pads to 11 x 11.
    assert parameters("dopamine-c51", actions) == same + layer(more_features, 512) + layer(512, 51 * actions)
    assert parameters("dopamine-quantile", actions) == same + layer(more_features, 512) + layer(512, 200 * actions)
    embedding_and_head = layer(64, more_features) + layer(more_features, 512) + layer(512, actions)
    assert parameters("dopamine-iqn", actions) == same + embedding_and_head
    assert parameters("iqn", actions) == valid + layer(64, features) + layer(features, 512) + layer(512, actions)


def test_the_counts_at_six_actions():
    counted = {"dopamine-c51": 4_200_402, "dopamine-quantile": 4_659_024, "dopamine-iqn": 4_549_862, "c51": 1_841_106}
    for recipe, count in counted.items():
        assert parameters(recipe) == count


@pytest.mark.parametrize("recipe", ["dopamine-c51", "dopamine-quantile", "dopamine-iqn", "hl-gauss"])
def test_dopamines_first_weights_are_uniform_in_the_root_of_root_3_by_fan_in_and_biases_zero(recipe):
    made = build_network(read_recipe(recipe), images(4, 84, 84), 6, torch.Generator().manual_seed(1))
    layers = [m for m in made.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(layers) == (6 if recipe == "dopamine-iqn" else 5)
    for one in layers:
        # variance_scaling(scale, fan_in, uniform): variance scale / fan_in, so the bound is its root times root 3.
        bound = math.sqrt(3 * (1 / math.sqrt(3)) / one.weight[0].numel())
        assert 0.99 * bound < one.weight.abs().max().item() <= 1.000001 * bound
        assert one.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
        assert not one.bias.any()


@pytest.mark.parametrize("torso", SPACES)
@pytest.mark.parametrize("streams", ["plain", "dueling"])
@pytest.mark.parametrize("head", HEADS)
def test_values_are_the_means_of_what_the_distribution_says(head, streams, torso):
    space = SPACES[torso]
    made = network(torso, space, head=head, streams=streams)
    state = states(space, 3)
    with torch.no_grad():
        output = made(state)
        q = made.q_values(state)
        returns, probabilities = made.head.distribution(output)
    assert output.dtype == torch.float32
    assert returns.shape == probabilities.shape == output.shape
    assert output.shape[:2] == (3, 4)
    torch.testing.assert_close(probabilities.sum(dim=2), torch.ones(3, 4))
    torch.testing.assert_close((returns * probabilities).sum(dim=2), q, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_dueling_makes_the_distribution_of_a_value_and_an_advantage(head):
    made = network("2013", SPACES["2013"], head=head, streams="dueling")
    outputs = {name: m.output.weight.shape[0] for name, m in made.head.output.named_children()}
    k = {"categorical": 51, "quantile": 200, "implicit_quantile": 1}[head]
    assert outputs == {"value": k, "advantage": 4 * k}


@pytest.mark.parametrize("streams", ["plain", "dueling"])
@pytest.mark.parametrize("hidden", [(), (64,)])
@pytest.mark.parametrize("head", [*HEADS, "linear", "fraction_proposal"])
def test_in_bfloat16_the_output_is_float32_and_near_that_of_float32(head, hidden, streams):
    space = SPACES["2015"]
    options = {"head": head, "hidden": hidden, "streams": streams}
    full, low = (network("2015", space, **options, precision=precision) for precision in ("float32", "bf16"))
    state = states(space, 3)
    with torch.no_grad():
        assert low.q_values(state).dtype == torch.float32
        torch.testing.assert_close(low.q_values(state), full.q_values(state), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("head", HEADS)
def test_the_fast_pass_gives_what_the_modules_give(head):
    space = SPACES["2015"]
    made = network("2015", space, head=head)
    state = states(space, 3)
    assert made.fast is not None
    quick = made.q_values(state)
    made.fast = None
    torch.testing.assert_close(made.q_values(state), quick, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_the_support_is_the_recipes_and_not_saved_with_the_weights(head):
    made = network("mlp", SPACES["mlp"], head=head)
    assert set(made.state_dict()) == {name for name, _ in made.named_parameters()}
    assert len(list(made.head.buffers())) == 1


def test_edges_put_the_atoms_into_the_middles_of_their_bins():
    made = network("mlp", SPACES["mlp"], head="categorical", atoms=4, v_min=0.0, v_max=8.0, ends="edges")
    assert made.head.support.tolist() == [1.0, 3.0, 5.0, 7.0]
    made = network("mlp", SPACES["mlp"], head="categorical", atoms=5, v_min=0.0, v_max=8.0)
    assert made.head.support.tolist() == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_midpoints_are_in_the_middles_of_equal_parts():
    assert midpoints(1).tolist() == [0.5]
    assert midpoints(4).tolist() == [0.125, 0.375, 0.625, 0.875]


def implicit(features=5, actions=3, **options):
    return Head(features, actions, Options(**options), Layers(Config(), torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("first_cosine", [0, 1])
def test_the_embedding_is_equation_4_written_out(first_cosine):
    head = implicit(cosines=4, first_cosine=first_cosine)
    taus = torch.tensor([[0.1, 0.9], [0.5, 0.3]])
    found, weight, bias = head.embedded(taus), head.embedding.weight.tolist(), head.embedding.bias.tolist()
    for b in range(2):
        for n in range(2):
            for j in range(5):
                total = bias[j]
                for k in range(4):
                    cosine = math.cos(math.pi * (k + first_cosine) * float(taus[b, n]))
                    total += cosine * weight[j][k]
                assert found[b, n, j].item() == pytest.approx(max(0.0, total), abs=1e-6)


def test_a_quantile_is_a_linear_function_of_the_product_and_the_states_are_kept_apart():
    head = implicit()
    features, taus = torch.randn((2, 5)), torch.rand((2, 3))
    found = head.at(features, taus)
    assert found.shape == (2, 3, 3)  # states, actions, fractions
    for b in range(2):
        for n in range(3):
            product = features[b] * head.embedded(taus)[b, n]
            torch.testing.assert_close(found[b, :, n], head.output(product.unsqueeze(0), None)[0])


def test_the_gradients_are_those_of_finite_differences():
    head = implicit().double()
    g = torch.Generator().manual_seed(2)
    features = torch.randn((2, 5), dtype=torch.float64, generator=g, requires_grad=True)
    taus = torch.rand((2, 3), dtype=torch.float64, generator=g)
    assert torch.autograd.gradcheck(lambda x: head.at(x, taus), features)


def test_without_noise_the_fractions_are_midpoints_and_with_it_uniform_and_of_the_generator():
    head = implicit(acting_taus=4)
    assert head.taus(2, 4, None).tolist() == [midpoints(4).tolist()] * 2
    drawn = head.taus(50, 200, torch.Generator().manual_seed(1))
    assert torch.equal(drawn, head.taus(50, 200, torch.Generator().manual_seed(1)))
    assert 0 <= drawn.min() < 0.01
    assert 0.99 < drawn.max() < 1
    assert drawn.mean().item() == pytest.approx(0.5, abs=5 / math.sqrt(12 * drawn.numel()))
    features = torch.randn((2, 5))
    assert torch.equal(head(features), head(features))
    noise = torch.Generator().manual_seed(1)
    assert not torch.equal(head(features, noise), head(features, noise))


def test_the_embedding_is_an_ordinary_layer_whatever_the_linear_layers_are(monkeypatch):
    class Other(Linear):
        """Another kind of linear layer."""

    monkeypatch.setattr("pixelq.networks.linear.plain.Linear", Other)
    made = network("mlp", SPACES["mlp"], head="implicit_quantile")
    kinds = [type(m) for m in made.modules() if isinstance(m, Linear)]
    assert kinds.count(Other) == 3  # two hidden layers and the output
    assert type(made.head.embedding) is Linear


def test_a_distributional_head_alone_is_learned_by_a_loss_on_its_values_too():
    made = network("mlp", SPACES["mlp"], head="categorical", loss="dqn")
    assert made.q_values(states(SPACES["mlp"], 2)).shape == (2, 4)


def test_options_that_are_no_numbers_are_refused():
    with pytest.raises(UserError, match="v_min"):
        network("mlp", SPACES["mlp"], head="categorical", v_min=float("nan"))
