"""What touches a disk: paths, small files, stored arrays, the catalogue of devices."""
