"""The tables, the engine, migrations and bulk writing."""
