//! The one integration-test binary: the house's own rules, and the rooms together.

mod house;
