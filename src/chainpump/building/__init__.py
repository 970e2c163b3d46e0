"""What is checked as a pipeline is built, and the planned stages that come out of it."""
