"""DuckDB over the lake's Parquet files."""

import duckdb


def connect(url: str, *, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that can read the files of the lake at ``url``.

    Args:
        url: The lake's.
        threads: At most so many; None: one for each core.
    """
    connection = duckdb.connect()
    if threads is not None:
        connection.execute(f"SET threads = {threads:d}")
    if "://" in url and not url.startswith("file://"):
        import fsspec  # type: ignore[import-untyped]  # it has no types

        connection.register_filesystem(fsspec.filesystem(url.partition("://")[0]))
    return connection
