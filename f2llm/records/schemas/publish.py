"""Tables of the cards."""

import pyarrow as pa

# cards/{run}/energy.parquet; sorted by (rule, unit). An estimate: what a job took times what config says a part draws.
ENERGY = pa.schema(
    [
        pa.field("rule", pa.string(), nullable=False),
        pa.field("unit", pa.string(), nullable=False),  # values of the rule's wildcards; empty where it has none
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("cores", pa.int32(), nullable=False),
        pa.field("gpus", pa.int32(), nullable=False),
        pa.field("memory_gb", pa.float64(), nullable=False),  # peak, in GB of 10**9 bytes
        pa.field("kwh", pa.float64(), nullable=False),  # the data centre's overhead included
        pa.field("grams", pa.float64(), nullable=False),  # CO2 equivalents
    ]
)
