"""As much of a W&B server as a run needs to start online; from a moment on it takes requests and never answers."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BUCKET = {"id": "b", "name": "run", "displayName": "run", "config": "{}", "historyLineCount": 0}
PROJECT = {"id": "p", "name": "polytag", "entity": {"id": "e", "name": "me"}}


class WandbServer:
    """A server on a free port of this machine, as a context."""

    def __enter__(self) -> "WandbServer":
        self._closed, self._hanging = threading.Event(), ""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def hang_on(self, method: str) -> None:
        """Answer requests of one kind no more."""
        self._hanging = method

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.command == outer._hanging:
                    outer._closed.wait()
                    return
                content = json.dumps({"data": _data(body)}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

            do_HEAD = do_GET = do_POST = answer  # noqa: N815

        return Handler


def _data(query: bytes) -> dict[str, Any]:
    if b"UpsertBucket" in query:
        return {"upsertBucket": {"bucket": BUCKET | {"project": PROJECT}, "inserted": True}}
    if b"RunResumeStatus" in query:
        return {"model": PROJECT | {"bucket": None}}
    return {"serverInfo": {"features": []}}
