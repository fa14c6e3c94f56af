"""Options of the subcommands. Nothing heavy is imported here, so that help comes at once."""

from .arguments import Device as Device
from .arguments import Dtype as Dtype
from .data import FetchOptions as FetchOptions
from .data import VerifyOptions as VerifyOptions
from .listings import DoctorOptions as DoctorOptions
from .listings import ScoresOptions as ScoresOptions
from .listings import SpacesOptions as SpacesOptions
from .listings import StrategiesOptions as StrategiesOptions
from .matrix import FitOptions as FitOptions
from .matrix import GramOptions as GramOptions
from .matrix import MatrixOptions as MatrixOptions
from .network import ExplainOptions as ExplainOptions
from .network import PlanOptions as PlanOptions
from .network import SeenOptions as SeenOptions
from .parts import ImageOptions as ImageOptions
from .parts import KernelOptions as KernelOptions
from .parts import SpaceOptions as SpaceOptions
from .predict import PredictOptions as PredictOptions
from .rank import DrawnImageOptions as DrawnImageOptions
from .rank import RankOptions as RankOptions
from .report import ReportOptions as ReportOptions
from .search import SearchOptions as SearchOptions
from .train import TrainOptions as TrainOptions
