"""Energy, where the machine tells it: a GPU's own counter, or the processor's (RAPL)."""

import ctypes
from collections.abc import Callable
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
Meter = Callable[[], float]
"""Joules since some moment."""


class Untold(Exception):
    """Why this machine does not tell its energy."""


def meter(device: str) -> Meter:
    """Joules of the whole device, whatever else runs on it; raises Untold."""
    return _nvml() if device == "cuda" else _rapl(POWERCAP)


def _rapl(folder: Path) -> Meter:
    """Of all processor packages, with the wrap of their counters undone."""
    zones = sorted(z for z in folder.glob("intel-rapl:*") if z.name.count(":") == 1)
    if not zones:
        raise Untold("this machine has no energy counter (no RAPL in /sys/class/powercap)")
    try:
        wraps = [int((zone / "max_energy_range_uj").read_text()) for zone in zones]
        last = [int((zone / "energy_uj").read_text()) for zone in zones]
    except PermissionError:
        raise Untold(f"{zones[0]}/energy_uj is for root alone; make it readable") from None
    except (OSError, ValueError) as error:
        raise Untold(f"{zones[0]} cannot be read: {error}") from error
    total = 0

    def read() -> float:
        nonlocal total
        for i, zone in enumerate(zones):
            now = int((zone / "energy_uj").read_text())
            total += (now - last[i]) % wraps[i]
            last[i] = now
        return total / 1e6

    return read


def _nvml() -> Meter:
    """Of the first GPU that torch uses, by NVIDIA's management library."""
    import torch

    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        raise Untold("the library libnvidia-ml.so.1 is not here") from None
    handle, uuid = ctypes.c_void_p(), str(torch.cuda.get_device_properties(0).uuid)
    name = uuid if uuid.startswith("GPU-") else f"GPU-{uuid}"
    used = ctypes.c_ulonglong()
    if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(handle)):
        raise Untold("NVML does not know this GPU")
    if nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(used)):
        raise Untold("this GPU has no energy counter")

    def read() -> float:
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(used))
        return used.value / 1e3

    return read
