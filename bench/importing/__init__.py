"""What `bench.contacts_imports` measures: whole imports through the service, and who does the same work otherwise."""
