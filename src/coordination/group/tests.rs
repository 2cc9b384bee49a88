//! Requests of all sorts to one group.
