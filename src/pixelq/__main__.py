"""`python -m pixelq`."""

import sys

from pixelq.cli import main

sys.exit(main())
