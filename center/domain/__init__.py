"""What the center decides: incidents, cases, commands, campaigns. Knows nothing of web pages or of MQTT."""
