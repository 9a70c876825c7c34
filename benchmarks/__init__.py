"""Measurements of pyxlist beside their baselines, and the seeded worlds they are made in.

Run from the checkout: ``python -m benchmarks.world --help`` describes the generator.
"""
