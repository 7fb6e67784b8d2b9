"""Fetch files: from the package index, a hub, URLs, databases and this machine; pinned, verified, kept in one store."""
