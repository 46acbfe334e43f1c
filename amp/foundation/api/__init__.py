"""How every endpoint of the API behaves, whatever it is about (house pattern 13).

Owns keys at the door (`authentication`, `throttling`), what goes in and out (`rendering`, `fields`, `filtering`,
`paging`, `versions`), what goes wrong (`problems`: the one table of codes), requests that are sent again (`retries`),
the base of all endpoints (`endpoints`), the schema (`schema`), and the foundation's own (`me`, `enterprises`).
"""
