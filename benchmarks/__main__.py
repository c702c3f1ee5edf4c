"""All benchmarks that make their own data, one after the other, as one table in Markdown and one object in JSON.

python -m benchmarks --output workspace/bench
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = ("frames", "learning", "export", "attention_cost", "overhead")


def main() -> None:
    """Run each in a process of its own; `bench.md` and `bench.json` hold what was measured up to the first that fails, too."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of bench.md and bench.json")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all by default"
    )
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}: expected some of {', '.join(BENCHMARKS)}")
    asked.output.mkdir(parents=True, exist_ok=True)
    tables, numbers = [], {}
    for name in asked.names or BENCHMARKS:
        file = asked.output / f"{name}.json"
        command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(file)]
        print(f"benchmarks.{name}", file=sys.stderr, flush=True)
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        print(done.stdout, flush=True)
        tables.append(done.stdout)
        numbers[name] = json.loads(file.read_text("utf-8"))
        (asked.output / "bench.md").write_text("\n".join(tables), "utf-8")
        (asked.output / "bench.json").write_text(json.dumps(numbers, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
