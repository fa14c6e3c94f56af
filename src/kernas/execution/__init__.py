"""Execution: a task and items in, results out; in this process, in several, or on a cluster."""

from .base import Executor as Executor
from .base import Task as Task
from .base import WorkerRate as WorkerRate
from .costs import Cluster as Cluster
from .costs import Prediction as Prediction
from .costs import Work as Work
from .costs import measured_cluster as measured_cluster
from .costs import predict as predict
from .local import Local as Local
from .processes import Processes as Processes
from .ray import RayExecutor as RayExecutor
from .simulation import Simulated as Simulated
from .simulation import simulate as simulate
