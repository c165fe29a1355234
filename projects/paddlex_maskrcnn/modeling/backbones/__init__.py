"""Backbones: one file a network family, each registered in Detectron2's BACKBONE_REGISTRY."""
