"""The local cloud, by the commands that a user types: real containers, real boots, real traffic."""
