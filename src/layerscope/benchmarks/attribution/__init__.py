"""Attribution measured: each method against an independent reference on many networks, and its speed beside others."""
