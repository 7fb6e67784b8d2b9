"""What texts or a source have left behind, and taking it out."""
