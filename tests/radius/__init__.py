"""Radius mode with Debian's FreeRADIUS over a box's own rows."""
