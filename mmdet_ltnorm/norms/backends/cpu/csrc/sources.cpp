// Which sources the library was built from, for native.py to know one from before an update.

extern "C" unsigned norms_cpu_sources() { return SOURCES_CRC32; }
