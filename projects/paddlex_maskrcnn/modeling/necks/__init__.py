"""Feature pyramids that Detectron2 lacks; a ResNet takes Detectron2's own FPN."""
