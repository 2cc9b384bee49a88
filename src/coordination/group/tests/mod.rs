//! Groups behind their facade.

mod delete_tests;
pub(super) mod driven;
mod expiry_tests;
mod offsets_tests;
mod random_tests;
