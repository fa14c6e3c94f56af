"""Training-free proxies: numbers of networks that are drawn and not trained."""

from .score import ProxyScore as ProxyScore
from .table import PROXIES as PROXIES
from .table import Proxy as Proxy
