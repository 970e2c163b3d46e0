"""What the processes of a run share: counts, memory, descriptors, and the board that each worker reports on."""
