"""A run that serves: forked, spawned and in threads it answers as it does alone."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import graftwork as gw

FORKED = """
import json, multiprocessing, sys
import graftwork as gw, torch

TEXTS = ["where is my parcel", "i lost my card"] * 20

def labels(run):
    return [answer["label"] for answer in run.predict(TEXTS)]

def serve(answers, run):
    answers.put(labels(run if not isinstance(run, str) else gw.load(run)))

if __name__ == "__main__":
    torch.set_num_threads(2)
    run = gw.load(sys.argv[1])
    here = labels(run)
    same = []
    for way, given in (("fork", run), ("fork", run), ("spawn", sys.argv[1])):
        context = multiprocessing.get_context(way)
        answers = context.Queue()
        child = context.Process(target=serve, args=(answers, given), daemon=True)
        child.start()
        same.append(answers.get(timeout=60) == here)
    print(json.dumps(same))
"""


def test_forked_and_spawned_processes_answer_after_their_parent_predicted(messages, tiny_bert, tmp_path) -> None:
    gw.fit(messages, f"local:{tiny_bert}", out=tmp_path / "run")
    (tmp_path / "serve.py").write_text(FORKED)
    command = [sys.executable, str(tmp_path / "serve.py"), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [True, True, True]


def test_eight_threads_share_a_run(messages, tiny_bert) -> None:
    run = gw.fit(messages, f"local:{tiny_bert}")
    inputs = [[f"where is my parcel {i}", f"i lost my card {i}"] for i in range(64)]
    alone = [run.predict(pair) for pair in inputs]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(run.predict, inputs)) == alone


PREFORKED = """
import json, os, socket, sys, threading
import graftwork as gw

run = gw.load(sys.argv[1])
run.predict(["where is my parcel"] * 50)  # as a server warms up before it forks
listening = socket.create_server(("127.0.0.1", 0))
workers = []
for _ in range(2):
    if not (worker := os.fork()):
        while True:
            asked, _ = listening.accept()
            with asked, asked.makefile("rw") as lines:
                lines.write(run.predict(lines.readline().strip())[0]["label"] + "\\n")
    workers.append(worker)

def ask(text):
    with socket.create_connection(listening.getsockname(), timeout=60) as asked, asked.makefile("rw") as lines:
        lines.write(text + "\\n")
        lines.flush()
        return lines.readline().strip()

answers = [ask(text) for text in ["where is my parcel", "i lost my card"] * 8]
again = run.predict("i lost my card")[0]["label"]
for worker in workers:
    os.kill(worker, 9)
    os.waitpid(worker, 0)
print(json.dumps([answers, again]))
"""


def test_workers_that_a_server_forks_after_it_warmed_up_answer_and_so_does_the_server(
    messages, tiny_bert, tmp_path
) -> None:
    gw.fit(messages, f"local:{tiny_bert}", out=tmp_path / "run")
    (tmp_path / "server.py").write_text(PREFORKED)
    command = [sys.executable, str(tmp_path / "server.py"), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["delivery", "card"] * 8, "card"]
