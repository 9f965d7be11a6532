"""How a cut becomes deliverables: values, arithmetic and texts. Pure; nothing here does I/O."""
