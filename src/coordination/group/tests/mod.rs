//! Groups behind their facade.

mod delete_tests;
pub(super) mod driven;
mod expiry_tests;
mod kinds_tests;
mod migration_tests;
mod mixed_tests;
mod offsets_tests;
mod random_tests;
