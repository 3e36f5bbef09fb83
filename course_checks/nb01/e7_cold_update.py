"""Exercise 01.7: the improved update of cold diffusion, from x_t to x_s with a guess of x_0."""

from __future__ import annotations

from torch import Generator

from course_lib.lessons.corruption import cold_update

from ..contract import Call, Case, Exercise, WrongAnswer, normal
from .inputs import drifting, smearing, vanishing


def cases(g: Generator) -> list[Case]:
    blurs, line, dark = Call(smearing, 1.5), Call(drifting, normal(g, 1, 1, 3, 4)), Call(vanishing, 2.0)
    images = [normal(g, 2, 1, 3, 4) for _ in range(10)]
    level = smearing(1.5)
    return [
        Case("a right guess, blur", (level(images[0], 0.8), images[0], blurs, 0.8, 0.3)),
        Case("a wrong guess, blur", (images[1], images[2], blurs, 0.8, 0.3)),
        Case("a wrong guess, a straight line", (images[3], images[4], line, 0.9, 0.2)),
        Case("a wrong guess, darkening", (images[5], images[6], dark, 2.0, 1.5)),
        Case("the last step, s = 0", (images[7], images[8], blurs, 0.4, 0.0)),
        Case("no step, s = t", (images[9], images[2], dark, 1.0, 1.0)),
        Case("single precision", (images[1].clone(), images[2].clone(), dark, 1.4, 0.7), float32=True),
    ]


EXERCISE = Exercise(
    id="01.7",
    title="The improved update",
    points=2,
    reference=cold_update,
    cases=cases,
    answers=("course_lib.lessons.corruption.cold_update", "course_lib.lessons.corruption.cold_sample"),
    wrong_answers=(  # functions of x_t, the guess, the degradation, t and s
        WrongAnswer(
            lambda x, guess, D, t, s: D(guess, s),
            "That is plain denoise-and-renoise: it forgets x_t. Where the guess is wrong, what does x_t know better?",
        ),
        WrongAnswer(
            lambda x, guess, D, t, s: x + D(guess, t) - D(guess, s),
            "Check the signs with a right guess: x_t = D(guess, t) must cancel, and D(guess, s) must remain.",
        ),
        WrongAnswer(
            lambda x, guess, D, t, s: D(guess, t) - x + D(guess, s),
            "You add the guess's error with the wrong sign: what the guess fails to explain is x_t - D(guess, t).",
        ),
        WrongAnswer(
            lambda x, guess, D, t, s: x - D(guess, t) + guess,
            "You go all the way to the guess. Add what the guess looks like at s, not at 0.",
        ),
        WrongAnswer(
            lambda x, guess, D, t, s: x - guess + D(guess, s),
            "What has to be taken away from x_t is of its own severity: the guess, ruined to t.",
        ),
        WrongAnswer(
            lambda x, guess, D, t, s: x - D(guess, t - s),
            "The difference of two ruined pictures is not a picture ruined by the difference.",
        ),
        WrongAnswer(
            lambda x, guess, D, t, s: x - D(x, t) + D(x, s),
            "You ruin x_t, which is ruined already. Both D's are of the guess.",
        ),
        WrongAnswer(
            lambda x, guess, D, t, s: D(x - D(guess, t) + guess, s),
            "Ruining the corrected guess as a whole also ruins the correction, which is of the right severity already.",
        ),
        WrongAnswer(
            lambda x, guess, D, t, s: x + (s - t) / t * (x - guess),
            "That is a straight line from x_t to the guess. Most ways to ruin a picture are not straight lines in t.",
        ),
        WrongAnswer(
            lambda x, guess, D, t, s: (x - D(guess, t) + D(guess, s)).clamp(-1, 1),
            "Do not clip: x_s may lie outside [-1, 1] on the way, and what is cut off is lost for the next step.",
        ),
    ),
)
