"""What `moalloy analyze` measures: one short file a topic, each a pipeline of OVITO."""
