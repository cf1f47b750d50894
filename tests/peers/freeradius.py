"""A FreeRADIUS of a test's own, with a users file: what the pretend router's RADIUS client is checked against."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

needs_freeradius = pytest.mark.skipif(
    shutil.which("freeradius") is None or shutil.which("radclient") is None,
    reason="freeradius is missing: make test installs it where it may",
)
CONFIG = """
prefix = /usr
libdir = /usr/lib/freeradius
name = radiusd
confdir = "@FOLDER@"
run_dir = "@FOLDER@"
logdir = "@FOLDER@"
max_requests = 1024
proxy_requests = no
log {
  destination = stdout
}
security {
  reject_delay = 0
}
thread pool {
  start_servers = 1
  max_servers = 2
  min_spare_servers = 1
  max_spare_servers = 2
  max_requests_per_server = 0
}
client router {
  ipaddr = 127.0.0.1
  secret = s3cret
}
modules {
  pap {
  }
  chap {
  }
  always ok {
    rcode = ok
  }
  files {
    usersfile = "@FOLDER@/users"
  }
  detail {
    filename = "@FOLDER@/detail"
  }
}
server default {
  listen {
    type = auth
    ipaddr = 127.0.0.1
    port = @AUTH@
  }
  listen {
    type = acct
    ipaddr = 127.0.0.1
    port = @ACCT@
  }
  authorize {
    chap
    files
    pap
  }
  authenticate {
    Auth-Type PAP {
      pap
    }
    Auth-Type CHAP {
      chap
    }
  }
  post-auth {
    @SIGN@
    Post-Auth-Type REJECT {
      @SIGN@
    }
  }
  accounting {
    detail
  }
}
"""


class FreeRadius:
    """Started by `with`. `signs`: answers carry a Message-Authenticator, which Debian 12's does not do by itself."""

    def __init__(self, users: str, *, signs: bool = True) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="freeradius-"))
        self.auth, self.acct = _free_port(), _free_port()
        sign = "\n".join(("update reply {", "Message-Authenticator := 0x00", "}")) if signs else ""
        words = {"FOLDER": str(self._folder), "AUTH": str(self.auth), "ACCT": str(self.acct), "SIGN": sign}
        config = CONFIG
        for name, value in words.items():
            config = config.replace(f"@{name}@", value)
        (self._folder / "radiusd.conf").write_text(config)
        (self._folder / "dictionary").write_text("$INCLUDE /usr/share/freeradius/dictionary\n")
        (self._folder / "users").write_text(users)

    def __enter__(self) -> "FreeRadius":
        command = ["freeradius", "-d", str(self._folder), "-D", str(self._folder), "-f", "-l", "stdout"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        os.set_blocking(self._process.stdout.fileno(), False)
        said, deadline = b"", time.monotonic() + 30
        while b"Ready to process requests" not in said:
            assert time.monotonic() < deadline and self._process.poll() is None, said.decode()
            said += self._process.stdout.read() or b""
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._process.stdout.close()
        shutil.rmtree(self._folder)

    def books(self) -> list[dict[str, str]]:
        """The accounting records that came, in their order."""
        detail = self._folder / "detail"
        records = detail.read_text().split("\n\n") if detail.exists() else []
        lines = [[line.strip().partition(" = ") for line in record.split("\n")[1:]] for record in records]
        return [{name: value.strip('"') for name, _, value in told if name} for told in lines if told]


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])
