"""End to end: a whole box in processes of its own, with everything around it pretended on the wire."""
