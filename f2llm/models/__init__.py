"""A network: folder, attention, packing, heads, prompts, tokenizers, device, encoder."""
