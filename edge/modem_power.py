"""The power of a USB modem: its device deauthorised and back, reset, or its socket switched off, where permitted.

Written by the kernel's documents (`Documentation/usb/authorization.rst`, usbdevice_fs.h) and uhubctl's README, and
tested on a pretended sysfs: on no real stick yet. An unprivileged service may do none of it without a udev rule.
"""

import fcntl
import logging
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger("edge.modem")

USBDEVFS_RESET = 0x5514  # _IO('U', 20)
OFF_S = 2.0
UHUBCTL_S = 20.0


class UsbPower:
    """What the ladder may do to the USB device behind a port: call it with the port and the step's name."""

    def __init__(
        self, *, sysfs: Path = Path("/sys"), devices: Path = Path("/dev/bus/usb"), uhubctl: str = "uhubctl",
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:  # fmt: skip
        self._sysfs, self._devices, self._uhubctl, self._sleep = sysfs, devices, uhubctl, sleep

    def __call__(self, port: str, step: str) -> str:
        """What was done, in words; why it could not be, otherwise. Takes half a minute at most."""
        device = self.find_device(port)
        if device is None:
            return "it is no USB device"
        ways = (self._cycle,) if step == "power" else (self._authorise_again, self._reset)
        refused = []
        for way in ways:
            try:
                return way(device)
            except (OSError, ValueError, subprocess.SubprocessError) as reason:
                refused.append(str(reason))
        words = "; ".join(refused)
        log.warning("no %s reset of %s: %s", step, device.name, words)
        return f"not permitted: {words}"

    def find_device(self, port: str) -> Path | None:
        """The USB device that a tty belongs to: the nearest folder above it in sysfs that can be authorised."""
        tty = self._sysfs / "class" / "tty" / Path(port).resolve().name / "device"
        if not tty.exists():
            return None
        root = self._sysfs.resolve()
        for folder in tty.resolve().parents:
            if (folder / "authorized").exists() and (folder / "idVendor").exists():
                return folder
            if folder == root:
                break
        return None

    def _authorise_again(self, device: Path) -> str:
        switch = device / "authorized"
        switch.write_text("0")
        try:
            self._sleep(OFF_S)
        finally:
            switch.write_text("1")
        return "deauthorised and back"

    def _reset(self, device: Path) -> str:
        bus, number = (int((device / name).read_text()) for name in ("busnum", "devnum"))
        node = os.open(self._devices / f"{bus:03d}" / f"{number:03d}", os.O_WRONLY)
        try:
            fcntl.ioctl(node, USBDEVFS_RESET, 0)
        finally:
            os.close(node)
        return "reset"

    def _cycle(self, device: Path) -> str:
        """`1-1.4` is port 4 of the hub 1-1."""
        hub, _, number = device.name.rpartition("." if "." in device.name else "-")
        if not re.fullmatch(r"\d+(-[\d.]+)?", hub) or not number.isdecimal():
            raise ValueError(f"{device.name} stands in no hub")
        program = shutil.which(self._uhubctl)
        if program is None:
            raise ValueError("uhubctl is not installed")
        command = [program, "-a", "cycle", "-d", f"{OFF_S:g}", "-l", hub, "-p", number]
        done = subprocess.run(command, capture_output=True, text=True, timeout=UHUBCTL_S, check=False)
        if done.returncode != 0:
            raise ValueError(f"uhubctl: {(done.stderr or done.stdout).strip()[:200]}")
        return "power off and on"
