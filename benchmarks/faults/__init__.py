"""What becomes of a program in which something goes wrong, with chainpump and with its peers: found by doing it."""
