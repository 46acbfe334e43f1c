"""Use cases of the alerts. Notices: finding those that fell due, and sending them on each channel. Webhooks:
`webhook_endpoints` (what staff set), `webhook_outbox` (events become deliveries), `webhook_payloads`, `webhook_sending`
(claim, send, store), `webhook_outcomes`, `webhook_retries`, `webhook_notices` (staff hear of endpoints disabled).
"""
