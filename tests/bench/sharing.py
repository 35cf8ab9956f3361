"""Eight processes extracting the same folder into one store at once; then the same with four of them killed half way.

400 photographs of 500 x 375 pixels, EfficientNet-Lite0, one thread a process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

COUNT, PROCESSES, KILLED = 400, 8, 4
CODE = """
import sys, graftwork as gw
print(gw.fit(sys.argv[1], "image/efficientnet-lite0").record["cache"]["misses"])
"""


def main() -> None:
    from extraction_bound import photographs

    from graftwork.features.store import Store

    with tempfile.TemporaryDirectory() as folder:
        data = photographs(Path(folder) / "photographs", COUNT)
        for killed in (0, KILLED):
            cache = Path(folder) / f"cache{killed}"
            environment = {**os.environ, "GRAFTWORK_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
            command = [sys.executable, "-c", CODE, str(data)]
            running = [
                subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)
            ]
            with Store(cache / "features") as store:
                while killed and store.size()["rows"] < COUNT // 2:
                    time.sleep(0.02)
                for process in running[:killed]:
                    process.send_signal(signal.SIGKILL)
                there = store.size()["rows"]
                counts = [int(process.communicate()[0]) for process in running[killed:]]
                verified = store.verify()
            print(
                f"{PROCESSES} processes, {killed} killed when {there} were there: the others computed {counts}",
                flush=True,
            )
            if killed:
                print(
                    f"  in all {there} + {sum(counts)} for {COUNT} photographs (the others went on meanwhile); {verified}"
                )
            else:
                print(f"  computed {sum(counts)} for {COUNT} photographs; {verified}", flush=True)


if __name__ == "__main__":
    main()
