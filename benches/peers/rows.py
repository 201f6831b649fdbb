"""Rows from MariaDB to PostgreSQL by libraries.

Usage: rows.py connectorx | dlt; where from and where to is in the environment of the race.
"""

import os
import sys
import threading


def connectorx():
    """ConnectorX reads into Arrow, pyarrow writes csv into COPY."""
    import connectorx
    import psycopg2
    import pyarrow.csv

    environment = os.environ
    # Its parser takes the backslashes of strings away once.
    columns = environment["COLUMNS"].replace("\\\\", "\\\\\\\\")
    query = f"SELECT {columns} FROM {environment['T']}"
    rows = connectorx.read_sql(
        environment["MY_FROM"],
        query,
        return_type="arrow",
        partition_on=environment["PARTITION"],
        partition_num=4,
    )
    reading, writing = os.pipe()

    def write():
        with os.fdopen(writing, "wb") as pipe:
            options = pyarrow.csv.WriteOptions(include_header=False)
            pyarrow.csv.write_csv(rows, pipe, options)

    thread = threading.Thread(target=write)
    thread.start()
    with psycopg2.connect(environment["PG_TO"]) as target, os.fdopen(reading, "rb") as pipe:
        target.cursor().copy_expert(f"COPY {environment['T']} FROM STDIN (FORMAT csv)", pipe)
    thread.join()


def dlt():
    """dlt with its ConnectorX backend."""
    environment = os.environ
    environment["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt
    from dlt.sources.sql_database import sql_table

    # It insists on a password, also where none is asked for.
    target = environment["PG_TO"].replace("postgres:", "postgresql:", 1).replace("@", ":none@", 1)
    pipeline = dlt.pipeline(
        "race",
        pipelines_dir=os.path.join(environment["SCRATCH"], "dlt"),
        destination=dlt.destinations.postgres(target),
        dataset_name="public",
    )
    rows = sql_table(
        credentials=environment["MY_FROM"].replace("mysql:", "mysql+pymysql:", 1),
        table=environment["T"],
        backend="connectorx",
        backend_kwargs={"conn": environment["MY_FROM"], "return_type": "arrow"},
    )
    pipeline.run(rows, loader_file_format="csv").raise_on_failed_jobs()


if __name__ == "__main__":
    {"connectorx": connectorx, "dlt": dlt}[sys.argv[1]]()
