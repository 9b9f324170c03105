"""Stands in for vLLM's server: takes its command line, answers /health, and behaves as FAKE says.

well (default)   healthy until SIGTERM       dies      says why, and ends with 3
family           healthy, with a child that  silent    never healthy
                 no signal but KILL ends     fails     healthy for a moment, then ends with 4
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

CHILD = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('child', flush=True); time.sleep(600)"


class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    known, _ = parser.parse_known_args()
    how = os.environ.get("FAKE", "well")
    print(f"fake {how}", flush=True)
    if how == "dies":
        sys.exit("ValueError: no kernel for this model")
    if how == "silent":
        signal.pause()
    if how == "family":
        child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE)
        child.stdout.readline()
        with open(os.environ["FAKE_CHILD"], "w") as file:
            file.write(str(child.pid))
    server = HTTPServer((known.host, known.port), Health)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    if how == "fails":
        threading.Timer(1.0, os._exit, [4]).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
