"""Campaigns against the binary: it is killed, its calls fail, its sources change under it.

What it leaves is judged by programs that share no code with it. `README.md` says which is which.
"""
