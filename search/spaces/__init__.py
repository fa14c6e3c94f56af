"""Search spaces: names of candidates ↔ architectures."""

from .abilities import LogRange as LogRange
from .abilities import require as require
from .architecture_list import ArchitectureList as ArchitectureList
from .base import Candidate as Candidate
from .base import Family as Family
from .base import Space as Space
from .base import repeated_name as repeated_name
from .choices import ChoiceSpace as ChoiceSpace
from .graph_space import GraphSpace as GraphSpace
from .macro import MacroSpace as MacroSpace
from .nasbench101 import NasBench101 as NasBench101
from .nasbench201 import NasBench201 as NasBench201
from .nats_size import NatsSize as NatsSize
from .nds import AmoebaNetSpace as AmoebaNetSpace
from .nds import DartsSpace as DartsSpace
from .nds import EnasSpace as EnasSpace
from .nds import NasNetSpace as NasNetSpace
from .nds import PnasSpace as PnasSpace
from .recipes import RecipeSpace as RecipeSpace
from .registry import space_from_settings as space_from_settings
from .registry import space_from_text as space_from_text
from .restricted import RestrictedSpace as RestrictedSpace
from .user_list import read_candidates as read_candidates
