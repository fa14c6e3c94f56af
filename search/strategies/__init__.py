"""Strategies: what is proposed next, from what became of the proposals before."""

from .bandit import Bandit as Bandit
from .base import Course as Course
from .base import Strategy as Strategy
from .base import Trial as Trial
from .base import search as search
from .darts import Darts as Darts
from .econas import EcoNas as EcoNas
from .enas import Enas as Enas
from .evolution import RegularizedEvolution as RegularizedEvolution
from .explore_then_exploit import ExploreThenExploit as ExploreThenExploit
from .local_search import LocalSearch as LocalSearch
from .predictor import Predictor as Predictor
from .progressive import Progressive as Progressive
from .q_learning import QLearning as QLearning
from .random_search import RandomSearch as RandomSearch
from .reinforce import Reinforce as Reinforce
from .successive_halving import SuccessiveHalving as SuccessiveHalving
from .warm_up import WarmUp as WarmUp
