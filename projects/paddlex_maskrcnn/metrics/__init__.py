"""Numbers from annotations and results, both plain COCO data: no network, no data set class, no torch."""
