"""How word leaves the house: `webhooks`, requests to systems of enterprises."""
