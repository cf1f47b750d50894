"""The pretend router on the wire, judged by its documentation and by other people's programs."""
