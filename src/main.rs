//! The `milena` command. Everything that is global to the process is set here or in `cli`.

/// Messages between actors are many small allocations, often freed by another thread: measured 35 %
/// cheaper than with the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    milena::cli::main()
}
