"""From MQTT to committed rows: read, validate, write a batch, then acknowledge."""
