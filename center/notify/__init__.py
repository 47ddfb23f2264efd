"""Telling people and programs: Apprise, webhooks, quiet hours, escalation."""
