"""One page of HTML about runs, to send."""

from .reading import parts_of as parts_of
from .rendering import page_of as page_of
from .rendering import report_page as report_page
from .rendering import write_pictures as write_pictures
