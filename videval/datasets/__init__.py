"""The data of benchmarks: found, fetched, unpacked, checked."""
