"""The lane of otpcore and the floors: ``python -m benchmarks.core_lane``."""

from __future__ import annotations

import logging

from benchmarks.lanes import serve
from benchmarks.scenarios import all_of_them

if __name__ == "__main__":
    logging.getLogger("otpcore").addHandler(
        logging.NullHandler()
    )  # else what a host logs would come between the tables
    serve({name: measure for one in all_of_them().values() for name, measure in one.MEASURES.items()})
