"""PaddleX's other names, so that its scripts run: utils, cv, transforms, deploy, its command, refusals."""
