"""The steps of pipelines; a file here registers one or a family, and is found by being here."""
