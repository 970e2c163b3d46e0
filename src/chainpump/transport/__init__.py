"""How items move between the workers of two neighbouring stages: channels, frames, slabs and the board."""
