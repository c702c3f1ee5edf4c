"""Looks the pinned dependencies up in the database of known vulnerabilities, osv.dev.

Fails for a vulnerability that `.ci/audit_accepted.txt` does not list with a reason. Where the database cannot be reached, it says so and passes.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NO_NETWORK = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "ProxyError", "SSLError", "ServiceError")


def accepted(path: Path) -> dict[str, str]:
    """Why each vulnerability that is known and accepted does not matter here, by its id. Raises ValueError for one without a reason."""
    reasons = {}
    for line in path.read_text("utf-8").splitlines():
        name, _, reason = line.partition(" ")
        if name and not name.startswith("#"):
            if not reason.strip():
                message = f"{path}: {name} needs a reason behind it"
                raise ValueError(message)
            reasons[name] = reason.strip()
    return reasons


def known(requirements: Path, database: str) -> list[dict[str, Any]] | None:
    """What pip-audit says of each package; None where the database cannot be reached. Raises RuntimeError where pip-audit fails otherwise."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--progress-spinner", "off"]
    command += ["--format", "json", "--vulnerability-service", "osv", "--osv-url", database]
    done = subprocess.run(
        [*command, "--requirement", str(requirements)], capture_output=True, text=True, check=False
    )
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        if any(word in done.stderr for word in NO_NETWORK):
            return None
        message = f"pip-audit failed: {done.stderr}"
        raise RuntimeError(message) from None
    return found


def main() -> int:
    """Audit, and say what was found; 1 where something was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("requirements", nargs="?", type=Path, default=HERE.parent / "constraints.txt")
    parser.add_argument("--accepted", type=Path, default=HERE / "audit_accepted.txt")
    parser.add_argument("--database", default="https://api.osv.dev/v1/query")
    call = parser.parse_args()
    reasons = accepted(call.accepted)
    packages = known(call.requirements, call.database)
    if packages is None:
        print(f"audit: {call.database} cannot be reached: the dependencies were NOT audited")
        return 0
    failed = 0
    for package in packages:
        if "skip_reason" in package:
            print(f"audit: {package['name']} was not audited: {package['skip_reason']}")
        for vulnerability in package.get("vulns", []):
            names = [vulnerability["id"], *vulnerability["aliases"]]
            reason = next((reasons[name] for name in names if name in reasons), None)
            fixed = ", ".join(vulnerability["fix_versions"]) or "no version"
            print(
                f"audit: {package['name']} {package['version']}: {' '.join(names)}, fixed in {fixed}"
                + (f"; accepted: {reason}" if reason else "")
            )
            failed += reason is None
    print(f"audit: {len(packages)} packages, {failed} vulnerabilities that are not accepted")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
