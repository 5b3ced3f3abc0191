"""Say what is wrong with this Python environment, and the line that mends each fault.

python tools/doctor.py    # exit code 1 where there is a fault
"""

import runpy
import sys
from pathlib import Path

SHOWN = ("torch", "mmengine", "mmcv", "mmdet", "numpy", "lvis", "vernier", "setuptools")


def main() -> int:
    # By path: importing the package needs the very stack whose faults are looked for.
    doctor = runpy.run_path(str(Path(__file__).parents[1] / "mmdet_ltnorm" / "doctor.py"))
    env = doctor["gather"]()
    print(f"Python {sys.version.split()[0]} at {sys.executable}")
    print(", ".join(f"{module} {env.text(module)}" for module in SHOWN))
    print(f"GPU: {env.gpu or 'none seen'}; mmcv's ops for CUDA: {env.ops_cuda or 'unknown'}")
    findings = doctor["diagnose"](env)
    for finding in findings:
        print(f"\n{'fault:' if finding.is_fault else 'note: '} {finding.problem}")
        print(f"{'mend: ' if finding.is_fault else 'use:  '} {finding.mend}")
    faults = sum(finding.is_fault for finding in findings)
    print(f"\n{faults} faults, {len(findings) - faults} notes")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
