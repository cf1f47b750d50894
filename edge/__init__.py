"""Edge sells WiFi by the hour: payment → durable record → router."""

__version__ = "0.1.0"
