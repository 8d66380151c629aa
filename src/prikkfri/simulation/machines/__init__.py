"""Several machines in one: network namespaces, and a network of our own between them that can be bad, or cut."""
