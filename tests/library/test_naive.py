"""Notebook 01's streams of examples, its training loop and its two samplers, against counting and known answers."""

import math
from itertools import islice

import pytest
import torch
from torch import Tensor, nn

from course_lib.lessons.corruption import blurring, corrupt_step, pixelation, touched_counts, untouched_probability
from course_lib.lessons.naive import (
    Example,
    along_the_chain,
    anywhere_on_the_chain,
    batches,
    best_constant,
    by_degradation,
    by_number_touched,
    draw_pixels,
    fake_denoising,
    falling_counts,
    fit,
    nearest_restorer,
    repair_digits,
    smooth,
    touch,
)

WHITE = torch.ones(40, 1, 4, 4)  # what is black later has been touched, for certain


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_batch_holds_different_images():
    images = torch.arange(10.0).reshape(10, 1, 1, 1)
    for x in islice(batches(images, 6, seeded()), 20):
        assert len(set(x.flatten().tolist())) == 6


def test_the_chain_is_walked_step_by_step_and_starts_anew():
    """Each example's target is the example before it; at most k pixels differ; after T steps a clean batch follows."""
    examples = list(islice(along_the_chain(WHITE, 3, 5, 8, seeded()), 12))
    for n, example in enumerate(examples):
        assert torch.equal(example.t, torch.full((8,), (n % 5 + 1) / 5))
        assert int((example.seen != example.wanted).flatten(1).sum(1).max()) <= 3
        if n % 5:
            assert torch.equal(example.wanted, examples[n - 1].seen)
        else:
            assert torch.equal(example.wanted, WHITE[:8])


def test_jumping_anywhere_on_the_chain_has_the_law_of_walking_there():
    """The share of black pixels at each t, against (1 - alpha_t) / 2 and against 3,000 real walks."""
    k, steps, many = 3, 6, 3000
    white = torch.ones(many, 1, 4, 4)
    example = next(anywhere_on_the_chain(white, k, steps, many, seeded(1)))
    walked, generator = white, seeded(2)
    for t in range(1, steps + 1):
        pixels = torch.rand(many, 16, generator=generator).argsort(1)[:, :k]
        coins = torch.randint(0, 2, (many, k), generator=generator).float() * 2 - 1
        before, walked = walked, corrupt_step(walked, pixels, coins)
        at_t = (example.t * steps).round() == t
        for jumped, real, steps_done in (
            (example.seen[at_t], walked, t),
            (example.wanted[at_t], before, t - 1),
        ):
            expected = float(1 - untouched_probability(k, 16, steps_done)) / 2
            error = 5 * math.sqrt(0.25 / (16 * int(at_t.sum()))) + 1e-9
            assert abs(float((jumped < 0).float().mean()) - expected) < error
            assert abs(float((real < 0).float().mean()) - expected) < error
            counted = (jumped < 0).flatten(1).sum(1).float()  # the spread too: counts are narrower than binomial
            assert abs(float(counted.std() - (real < 0).flatten(1).sum(1).float().std())) < 0.15


def test_the_number_touched_is_drawn_from_its_law():
    """White images and coins: black pixels given n touched are binomial(n, 1/2), so their mean is E[n] / 2."""
    law = touched_counts(4, 16, 3)[3]
    mean = float(law @ torch.arange(17, dtype=torch.float64))
    example = next(anywhere_on_the_chain(torch.ones(4000, 1, 4, 4), 4, 4, 4000, seeded(3)))
    last = example.t == 1  # wanted is x_3
    found = float((example.wanted[last] < 0).flatten(1).sum(1).float().mean())
    assert abs(found - mean / 2) < 5 * 2 / math.sqrt(int(last.sum()))


def test_exactly_t_pixels_are_touched_and_the_clean_image_is_asked_for():
    zeros = torch.zeros(64, 1, 4, 4)
    touched = touch(zeros, torch.arange(64) % 17, seeded())
    assert torch.equal((touched != 0).flatten(1).sum(1), torch.arange(64) % 17)
    example = next(by_number_touched(zeros, 64, seeded(1)))
    assert torch.equal((example.seen != 0).flatten(1).sum(1), (example.t * 16).round().long())
    assert int((example.t * 16).round().min()) >= 1 and torch.equal(example.wanted, zeros)


def test_a_degradation_is_asked_for_at_the_time_that_is_told():
    images = torch.randn(8, 1, 4, 4, generator=seeded())
    example = next(by_degradation(images, lambda x, t: x * t[:, None, None, None], 8, seeded(1)))
    torch.testing.assert_close(example.seen, example.wanted * example.t[:, None, None, None])


class Scale(nn.Module):
    """One number times the input."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.factor * x


def test_fit_finds_the_least_squares_answer():
    """Predict y from x with one factor: the best is mean(x y) / mean(x x), from the data themselves."""
    generator = seeded()
    x = torch.randn(512, 1, 2, 2, generator=generator)
    y = 0.7 * x + 0.5 * torch.randn(x.shape, generator=generator)

    def same_again():
        while True:
            yield Example(x, torch.zeros(512), y)

    states = list(fit(Scale(), same_again(), 300, learning_rate=0.05))
    assert [s.step for s in states] == list(range(1, 301))
    best = float((x * y).mean() / (x * x).mean())
    assert float(states[-1].network.factor.detach()) == pytest.approx(best, abs=2e-3)
    assert float(states[-1].loss) == pytest.approx(float((best * x - y).square().mean()), rel=1e-4)
    assert not states[-1].network.training


def test_drawn_pixels_have_the_mean_that_was_asked_for():
    mean = torch.tensor([-1.0, -0.5, 0.0, 0.8, 1.0]).expand(20_000, 5)
    drawn = draw_pixels(mean, seeded())
    assert set(drawn.unique().tolist()) == {-1.0, 1.0}
    assert float((drawn.mean(0) - mean[0]).abs().max()) < 5 / math.sqrt(20_000)


def halves(x: Tensor, t: Tensor) -> Tensor:
    return x / 2


def test_faked_denoising_feeds_its_answers_back():
    x = torch.ones(2, 1, 2, 2)
    told = []

    def watched(x: Tensor, t: Tensor) -> Tensor:
        told.append(float(t[0]))
        return halves(x, t)

    states = list(fake_denoising(watched, x, 4))  # type: ignore[arg-type]
    assert [float(s.max()) for s in states] == [1, 0.5, 0.25, 0.125, 0.0625]
    assert told == [1, 0.75, 0.5, 0.25]


def test_with_draws_only_the_last_answer_is_grey():
    states = list(fake_denoising(halves, torch.ones(50, 1, 2, 2), 3, seeded()))  # type: ignore[arg-type]
    assert all(set(s.unique().tolist()) == {-1.0, 1.0} for s in states[1:-1])
    assert states[-1].abs().unique().tolist() == [0.5]


class Remembers(nn.Module):
    """Knows the clean image."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.image, self.told, self.seen = image, [], []

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        self.told.append(float(t[0]))
        self.seen.append(x)
        return 0.5 * self.image.expand_as(x)  # the right colours, grey


@pytest.mark.parametrize(("between", "kept"), [("as it is", 0.5), ("rounded", 1.0)])
def test_repairing_renoises_the_guess_to_the_next_time_and_ends_in_black_and_white(between, kept):
    image = torch.where(torch.arange(16).reshape(1, 1, 4, 4) % 3 == 0, 1.0, -1.0)
    network = Remembers(image)
    states = list(repair_digits(network, 4, between, torch.ones(30, 1, 4, 4), seeded()))
    assert [s.t for s in states] == [16, 12, 8, 4, 0]
    assert network.told == [1, 0.75, 0.5, 0.25]
    assert torch.equal(states[-1].x, image.expand(30, 1, 4, 4))
    for seen, touched in zip(network.seen[1:], (12, 8, 4), strict=True):
        untouched = (seen == kept * image).flatten(1).sum(1)  # at least these; touched ones may agree by luck
        assert int(untouched.min()) >= 16 - touched
        if between == "as it is":
            assert torch.equal((seen.abs() == 1).flatten(1).sum(1), torch.full((30,), touched))


def test_drawing_between_steps_shows_black_and_white_only():
    network = Remembers(torch.zeros(1, 1, 4, 4))
    list(repair_digits(network, 3, "drawn", torch.ones(30, 1, 4, 4), seeded()))
    assert all(set(seen.unique().tolist()) <= {-1.0, 1.0} for seen in network.seen)


def test_falling_times_are_whole_and_reach_zero():
    assert falling_counts(784, 5).tolist() == [784, 627, 470, 314, 157, 0]
    assert falling_counts(4, 4).tolist() == [4, 3, 2, 1, 0]
    with pytest.raises(ValueError, match="1 to 4 steps, got 5"):
        falling_counts(4, 5)


def test_no_constant_beats_the_best_constant():
    images = torch.randn(30, 1, 2, 3, generator=seeded(), dtype=torch.float64)
    constant, loss = best_constant(images)
    direction = torch.randn(1, 2, 3, generator=seeded(1), dtype=torch.float64)
    for size in (-0.1, 0.1):
        assert (images - constant - size * direction).square().mean() > loss
    torch.testing.assert_close(loss, torch.stack([x.var(correction=0) for x in images.flatten(1).T]).mean())


def test_the_nearest_restorer_answers_with_the_image_that_was_ruined():
    images = torch.randn(6, 1, 4, 4, generator=seeded())
    for degrade, t in ((blurring(2.0), 0.4), (pixelation((1, 2, 4)), 1)):
        assert torch.equal(nearest_restorer(images, degrade)(degrade(images[[3, 1]], t), t), images[[3, 1]])


def test_smoothing_averages_neighbours():
    assert smooth([0.0, 3.0, 6.0, 0.0], 3).tolist() == [3.0, 3.0]
