"""What a user sets: the parameters (`schema`), reading files (`load`), Detectron2's cfg (`translate`).

`schema` and `load` import neither torch nor detectron2, so help and documentation take milliseconds.
"""
