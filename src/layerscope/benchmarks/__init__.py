"""What `layerscope benchmark` measures, here and now, peers beside where they are installed."""
