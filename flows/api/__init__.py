"""A trained detector as a service: upload a clip over HTTP, ask for its judgement, look at the evidence."""
