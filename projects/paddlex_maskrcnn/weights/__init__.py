"""Pretrained weights: which exist, how their input looks, and how foreign names map onto ours."""
