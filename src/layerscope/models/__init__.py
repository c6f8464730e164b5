"""Networks: what Layerscope opens, and how an image goes into one."""
