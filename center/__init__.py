"""The support center: subscribes to what terminals say. Imports agent.wire and nothing else of ours."""
