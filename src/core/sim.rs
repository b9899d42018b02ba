//! A whole fleet in one thread and virtual time: the real cores, a simulated network, a seed.
