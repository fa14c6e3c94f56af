"""Execution of covariance programs: records of images, then tiles of pairs."""

from .blocking import Blocking as Blocking
from .blocking import recorded_blocking as recorded_blocking
from .blocks import balanced as balanced
from .blocks import blocks as blocks
from .calibration import blocking_of as blocking_of
from .calibration import resolved as resolved
from .costs import KernelPlan as KernelPlan
from .costs import kernel_plan as kernel_plan
from .evaluation import bind as bind
from .evaluation import grams as grams
from .evaluation import prepare as prepare
from .evaluation import tile_shape as tile_shape
from .programs import compilations as compilations
from .records import DEFAULT_BIND_BYTES as DEFAULT_BIND_BYTES
from .records import Images as Images
from .records import Matrix as Matrix
from .records import Request as Request
from .records import Statistics as Statistics
from .streams import share as share
from .tiles import DEFAULT_TILE_BYTES as DEFAULT_TILE_BYTES
from .tiles import TileShape as TileShape
from .tiles import TilesOfRow as TilesOfRow
from .tiles import fill_tiles as fill_tiles
from .workers import Device as Device
