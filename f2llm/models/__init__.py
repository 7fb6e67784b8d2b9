"""A network: folder, backbone, attention, packing, heads, prompts, tokenizers, device, encoder."""
