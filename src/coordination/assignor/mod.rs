//! Who gets which partitions: the server-side assignors of the consumer protocol (KIP-848).
