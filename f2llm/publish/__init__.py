"""What others read: cards, Croissant, RO-Crate, energy, push."""
