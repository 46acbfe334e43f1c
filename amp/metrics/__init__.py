"""What Prometheus is told, in its text format (X10): how old the work is that should be done, and what processes did.

`figures` reads database and Redis when it is asked, with a fixed number of statements; `counting` counts requests and
tasks; `slots` keeps the counts of all processes of a host in files, so that whichever process answers tells the sum;
`exposition` puts both together, and says who may read them. Tenants, paths and people are in none of it.
"""
