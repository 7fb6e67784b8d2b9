"""Every constant of the estimate that a machine decides: what programs hold, what is computed in a second, and margins.

Measured on one thread of a Xeon with AMX (docs/benchmarks.md; manifests of the embedded default); rates of GPUs are
assumptions. Nothing is imported here, so that the command line can show its defaults before anything is loaded.
"""

# Python with pyarrow and this library; with torch and transformers; with mteb on top.
LIGHT_MB, TORCH_MB, MTEB_MB = 220, 520, 740
LIGHT_SECONDS, TORCH_SECONDS, MTEB_SECONDS = 1.0, 5.0, 14.0
# A job that moves small tables holds these beside the program.
TABLES_MB = 60
# GFLOP/s of one thread: encoding and training, with bfloat16 in hardware and without.
ENCODE_GFLOPS = {True: 250.0, False: 60.0}
TRAIN_GFLOPS = {True: 60.0, False: 35.0}
# Search for negatives: products of one thread; and for each query, whatever multiplies, what is read, chosen, written.
SEARCH_GFLOPS, SEARCH_SECONDS_A_QUERY = 75.0, 2.5e-4
# A GPU: the dense bfloat16 rate measured of an H200-class card, and the share of it that training, encoding and search
# are taken to reach. Published trainings reach 385 TFLOP/s on a card of this class, which is 49 %.
GPU_PEAK_TFLOPS, GPU_SHARE = 790.0, 0.45
GPU_TFLOPS = GPU_PEAK_TFLOPS * GPU_SHARE
# A CUDA context and its libraries, a process.
CUDA_MB = 3000
# Adapters that parse programs: seconds a MB of files.
PARSING = {"python_functions": 1.1, "python_modules": 1.1}
# Memory of a training step on a CPU over what its activations hold: the allocator's gaps, gradients in flight.
CPU_ACTIVATIONS = 3.8
# Vectors of a scored task in memory: in the store's order, in that of the task, and in mteb's own copy.
VECTOR_COPIES = 3
# A search of at least so long is worth several threads; beyond four it reads faster than memory gives.
SEARCH_THREADS, THREADED_SEARCH_SECONDS = 4, 600
# Where no count is known: many times what the largest embedded source takes.
UNKNOWN_MB, UNKNOWN_SECONDS, UNKNOWN_TRAINING_SECONDS = 4000, 4 * 3600.0, 24 * 3600.0
# Slurm is asked for more than expected, since nodes differ and a killed job costs a whole attempt.
SNAKEMAKE_MB, MEMORY_MARGIN, TIME_MARGIN, LEAST_MINUTES, STEP_MB = 500, 1.3, 4.0, 15, 100
# Around the trainer: the job's script, torchrun, srun.
LAUNCHERS_MB = 600
