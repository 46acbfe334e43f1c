"""What platform administrators see and change of the work behind the product: sweeps, schedules, queues (X10).

`limits` is pure: how often a task may run, and which promise hangs on it. `schedules` changes rows of the schedule, on
the record; `queues` looks at Redis; `waiting` tells what is due and what needs a person; `overview` reads for pages,
`pages` shows them. Given-up rows are `amp.dead`'s.
"""
