"""One static website over all galleries of a folder; it opens from the disk and asks no other host for anything."""
