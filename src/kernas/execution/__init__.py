"""Execution: a task and items in, results out; in this process, in several, or on a cluster."""

from .base import Executor as Executor
from .base import Task as Task
from .base import WorkerRate as WorkerRate
from .local import Local as Local
from .processes import Processes as Processes
from .ray import RayExecutor as RayExecutor
