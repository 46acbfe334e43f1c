"""What platform staff must know without looking: brakes that wait for a person, late sweeps, given-up work, bridges
that are away, included plans that can't start (P8, A11, F13, F15).

`rules` is pure: facts → alarms. `facts` reads them, `watch` keeps a row for each alarm from its beginning to its end
and has both mailed once, `words` puts them into the reader's language. Composed at the roof: it knows every app and
changes none.
"""
