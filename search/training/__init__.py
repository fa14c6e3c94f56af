"""Finite networks of a space's candidates, trained by compiled programs that they share."""

from .loop import Trained as Trained
from .loop import train as train
from .settings import TrainingSettings as TrainingSettings
