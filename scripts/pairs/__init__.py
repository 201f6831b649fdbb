"""Copies between every pair of places, judged by clients that share no code with the engine.

`python -m pairs` is the program, `places.py` the places, `matrix.py` the pairs, `names.py` names.
"""
