"""What happens between training steps; one hook a file, each a `detectron2.engine.HookBase`."""
