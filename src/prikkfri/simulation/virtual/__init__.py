"""A world in one process, the same each time: virtual time, connections and disks in memory, crashes wherever drawn."""
