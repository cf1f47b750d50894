"""What the box can do, measured: `make bench`. No test asserts a time; these tables tell it."""
