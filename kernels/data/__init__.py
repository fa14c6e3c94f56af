"""Data sets: fetched, verified, read; class-balanced subsets, resizing and standardisation."""

from .dataset import Dataset as Dataset
from .fetching import fetch as fetch
from .folders import data_folders as data_folders
from .known import DATASETS as DATASETS
from .known import location as location
from .loading import load as load
from .loading import load_unseen as load_unseen
from .loading import read_images as read_images
from .preprocessing import Resize as Resize
from .preprocessing import Standardization as Standardization
from .preprocessing import area_resize as area_resize
from .preprocessing import fit_standardization as fit_standardization
from .synthetic import SyntheticSet as SyntheticSet
from .synthetic import circle as circle
from .synthetic import hypercube as hypercube
from .synthetic import hypersphere as hypersphere
from .verification import Verification as Verification
from .verification import verify as verify
