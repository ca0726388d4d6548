"""``python -m vmsuite.cli``, for where no console script is installed."""

import sys

from vmsuite.cli import main

sys.exit(main())
