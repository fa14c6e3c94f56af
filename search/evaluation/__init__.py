"""Evaluation: candidates and scores in, outcomes out; the task that executors run."""

from .evaluator import Evaluator as Evaluator
from .evaluator import Item as Item
from .preference import preference as preference
