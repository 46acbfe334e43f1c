"""Signing in: the second factor, invitations, forgotten passwords, and the brake on guessing (X1, F94, F95).

Pages for people who are not, or not fully, signed in. What a member may then do is not decided here.
"""
