"""A seeded storm against a real box: processes killed, power cut, clocks that jump, disks that fill."""
