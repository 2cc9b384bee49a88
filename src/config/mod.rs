//! Configuration: tables of keys, `.properties` files, and the [`ServerConfig`] they add up to.

pub mod keys;
