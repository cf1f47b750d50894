"""`python -m tests.torture`: a storm for as long as you like; the box is kept when an invariant broke."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.torture.shims import has_compiler
from tests.torture.shop import a_shop
from tests.torture.storm import Storm, keep_history, show


def main() -> int:
    """0 when every invariant held."""
    given = _arguments()
    if not has_compiler:
        sys.exit("a C compiler (cc) is missing: apt-get install gcc libc6-dev")
    folder = Path(tempfile.mkdtemp(prefix="edge-torture-"))
    begun = time.monotonic()
    with a_shop(folder, given.seed) as shop:
        storm = Storm(shop, given.seed, lambda line: print(line, flush=True))
        try:
            figures = storm.run(given.cycles, given.seconds)
        except AssertionError as fault:
            keep_history(storm, folder)
            print(f"VIOLATED after {storm.cycle} cycles\n{fault}\n(everything in {folder})")
            return 1
        lasted_s = time.monotonic() - begun
    shutil.rmtree(folder)
    print(f"seed {given.seed}: {storm.cycle} cycles in {lasted_s:.0f} s, 0 lost, 0 repeated\n{show(figures)}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000, help="the same storm again")
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--seconds", type=float, help="end earlier than the cycles when so much time is over")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
