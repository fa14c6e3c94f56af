"""Execution: candidates and scores in, outcomes out, here or in several processes."""

from .base import Executor as Executor
from .base import Task as Task
from .evaluation import Evaluator as Evaluator
from .evaluation import Item as Item
from .local import Local as Local
from .preference import preference as preference
from .processes import Processes as Processes
