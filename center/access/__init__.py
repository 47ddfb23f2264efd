"""Who may do what: accounts, roles and scopes, tokens, and the audit chain."""
