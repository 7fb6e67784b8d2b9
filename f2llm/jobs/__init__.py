"""What surrounds a job: manifest, note, lock, device, Slurm, progress, code digests. It decides no byte of a result."""
