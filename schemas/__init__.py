"""The JSON Schemas, as package data of ``pipeline.schemas`` in an installed wheel."""
