"""Finite networks of a space's candidates, trained by compiled programs that they share."""

from .estimate import TrainingEstimate as TrainingEstimate
from .estimate import estimate_training as estimate_training
from .export import export_network as export_network
from .regimes import FullTraining as FullTraining
from .regimes import ReducedTraining as ReducedTraining
from .regimes import Regime as Regime
from .settings import TrainingSettings as TrainingSettings
from .supernet import Supernet as Supernet
from .supernet import train_supernet as train_supernet
from .trained import Trained as Trained
from .trained import train as train
