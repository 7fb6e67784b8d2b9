"""The validated configuration: YAML checked against JSON schemas, then frozen dataclasses."""
